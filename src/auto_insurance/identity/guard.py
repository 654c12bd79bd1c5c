"""What stops guessing of passwords: limits of failures, in Redis for all processes. A wait always helps.

Three limits: one address trying one account, one address trying many accounts, many addresses trying one account. The
last would let anybody shut somebody out, so it does not bind an address from which that account signed in lately.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from auto_insurance.identity.errors import TooManyAttempts
from auto_insurance.infra.http.ratelimit import RateDecision, RateLimiter

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """Failures that are let through, as (count, seconds). Successes never count."""

    pair: tuple[int, float] = (5, 60.0)
    """From one address for one account."""
    account: tuple[tuple[int, float], ...] = ((20, 300.0), (50, 3_600.0))
    """For one account from all addresses, the second slower than the first: the wait grows, to an hour at most."""
    address: tuple[int, float] = (50, 300.0)
    """From one address for all accounts."""
    known_s: float = 30 * DAY_S
    """An address from which the account signed in is known for this long."""


@dataclass(frozen=True, slots=True)
class _Rule:
    key: str
    count: int
    window_s: float


class LoginGuard:
    """Counts failures and refuses when there were too many."""

    def __init__(self, limiter: RateLimiter, options: GuardOptions | None = None) -> None:
        self._limiter = limiter
        self._options = options or GuardOptions()

    async def admit(self, address: str, account: str) -> None:
        """Raise ``TooManyAttempts`` if this address must wait before it tries this account."""
        rules = await self._rules(address, account)
        self._refuse(await asyncio.gather(*(self._limiter.peek(r.key, r.count, r.window_s) for r in rules)))

    async def failed(self, address: str, account: str) -> None:
        """Count a failure. Raises ``TooManyAttempts`` if it was one too many."""
        rules = await self._rules(address, account)
        self._refuse(await asyncio.gather(*(self._limiter.hit(r.key, r.count, r.window_s) for r in rules)))

    async def succeeded(self, address: str, account: str) -> None:
        """Note that the account is at home at this address."""
        await self._limiter.hit(self._known(address, account), 1, self._options.known_s)

    async def unlock(self, account: str) -> None:
        """Forget the failures for an account from all addresses."""
        for number, _ in enumerate(self._options.account):
            await self._limiter.reset(f"login-account-{number}|{account.casefold()}")

    async def _rules(self, address: str, account: str) -> list[_Rule]:
        name, options = account.casefold(), self._options
        rules = [
            _Rule(f"login|{address}|{name}", *options.pair),
            _Rule(f"login-address|{address}", *options.address),
        ]
        known = await self._limiter.peek(self._known(address, account), 1, options.known_s)
        if known.allowed:  # nothing is noted of this address
            rules += [_Rule(f"login-account-{n}|{name}", *limit) for n, limit in enumerate(options.account)]
        return rules

    @staticmethod
    def _known(address: str, account: str) -> str:
        return f"login-known|{address}|{account.casefold()}"

    @staticmethod
    def _refuse(decisions: list[RateDecision]) -> None:
        waits = [decision.retry_after_s for decision in decisions if not decision.allowed]
        if waits:
            raise TooManyAttempts(max(waits))
