"""Password hashes (argon2id, RFC 9106) computed off the event loop by a bounded pool."""

from __future__ import annotations

import asyncio
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from auto_insurance.identity.errors import CredentialsUnavailable

T = TypeVar("T")
NO_PASSWORD = "!"  # noqa: S105 - no hash: nothing matches it
"""In place of a hash: the account has no password yet and may set one."""
NEVER_PASSWORD = "!never"  # noqa: S105
"""In place of a hash: the account signs in otherwise."""


@dataclass(frozen=True, slots=True)
class HashOptions:
    """Cost of a hash and size of the pool.

    The default cost is OWASP's first choice for argon2id (Password Storage Cheat Sheet, 2024): 19 MiB, 2 passes,
    1 lane. ``workers`` threads hash at once, ``queue`` more may wait, each at most ``timeout_s``.
    """

    time_cost: int = 2
    memory_kib: int = 19_456
    parallelism: int = 1
    workers: int = 2
    queue: int = 200
    timeout_s: float = 10.0


class Passwords:
    """Hashes and verifies passwords without holding up the event loop."""

    def __init__(self, options: HashOptions | None = None) -> None:
        self._options = options or HashOptions()
        self._hasher = PasswordHasher(
            time_cost=self._options.time_cost,
            memory_cost=self._options.memory_kib,
            parallelism=self._options.parallelism,
            type=Type.ID,
        )
        self._pool = ThreadPoolExecutor(self._options.workers, thread_name_prefix="argon2")
        self._lock = threading.Lock()
        self._pending = 0
        self._dummy = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """Return a fresh hash. Raises ``CredentialsUnavailable`` when too much waits."""
        return await self._run(lambda: self._hasher.hash(normal(password)))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether the password is right.

        Without a hash (unknown user, account without a password) it compares with that of nobody's password and says
        no: the same work, so that time does not tell who exists. Raises ``CredentialsUnavailable`` when too much waits.
        """
        known = None if password_hash in {NO_PASSWORD, NEVER_PASSWORD} else password_hash
        wanted = known if known is not None else self._dummy
        right = await self._run(lambda: self._verify(wanted, password))
        return right and known is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether a hash was made at another cost than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    @staticmethod
    def may_be_set(password_hash: str) -> bool:
        """Return whether an account may have a password, see ``NEVER_PASSWORD``."""
        return password_hash != NEVER_PASSWORD

    def close(self) -> None:
        """Take no more work; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, normal(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._pending >= self._options.workers + self._options.queue:
                raise CredentialsUnavailable
            self._pending += 1
        try:
            future = self._pool.submit(work)
        except RuntimeError:
            self._finished()
            raise CredentialsUnavailable from None
        # Counted by the work's own end: a caller that gives up does not free the thread.
        future.add_done_callback(self._finished)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._options.timeout_s)
        except TimeoutError:
            raise CredentialsUnavailable from None

    def _finished(self, _future: Future[T] | None = None) -> None:
        with self._lock:
            self._pending -= 1


def normal(password: str) -> str:
    """Return a password in the form in which it is hashed and compared."""
    # One keyboard's é is another's e + accent (NIST SP 800-63B, 5.1.1.2).
    return unicodedata.normalize("NFKC", password)
