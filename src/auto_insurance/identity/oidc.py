"""Sign-in by an identity provider: authorization code with PKCE, state and nonce, each good for one sign-in.

A person of the provider is an account by issuer and subject, by nothing else: an e-mail address, verified or not, never
opens an account that is there already.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import structlog

from auto_insurance.identity import repository, repository_credentials
from auto_insurance.identity.auth import AuthService
from auto_insurance.identity.errors import OidcDisabled, OidcRefused, TooManyAttempts
from auto_insurance.identity.oidc_provider import OidcProvider
from auto_insurance.identity.passwords import NEVER_PASSWORD
from auto_insurance.identity.repository_credentials import OidcLogin
from auto_insurance.identity.schemas import USERNAME_PATTERN, NewUser, Role, TokenResponse, User
from auto_insurance.identity.sessions import Method
from auto_insurance.identity.tokens import digest
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.kernel import clock

log = structlog.get_logger(__name__)
_SECRET_BYTES = 32
_EMAIL = re.compile(r"^[^@\s]{1,64}@[^@\s]{1,189}$")


@dataclass(frozen=True, slots=True)
class OidcOptions:
    """What becomes of people who come from the provider."""

    holds: timedelta = timedelta(minutes=10)
    """Time that somebody may take to sign in there."""
    sign_up: bool = True
    role_claim: str | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    """Group of the claim -> role."""
    per_address: tuple[int, float] = (30, 60.0)


@dataclass(frozen=True, slots=True)
class Departure:
    """Where to send somebody, and the state that must come back from the same browser."""

    url: str
    state: str = field(repr=False)
    holds_s: int = 600


class OidcService:
    """Use cases of the sign-in by an identity provider. They open their own transactions."""

    def __init__(
        self,
        db: Database,
        auth: AuthService,
        provider: OidcProvider | None,
        options: OidcOptions | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        self._db = db
        self._auth = auth
        self._provider = provider
        self._options = options or OidcOptions()
        self._limiter = limiter or RateLimiter()

    async def start(self, *, address: str) -> Departure:
        """Begin a sign-in. Raises ``OidcDisabled``, ``TooManyAttempts`` and ``OidcUnavailable``."""
        provider = self.there()
        decision = await self._limiter.hit(f"oidc|{address}", *self._options.per_address)
        if not decision.allowed:
            raise TooManyAttempts(decision.retry_after_s)
        state, nonce, verifier = (secrets.token_urlsafe(_SECRET_BYTES) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        url = await provider.authorization_url(state=state, nonce=nonce, challenge=challenge)
        login = OidcLogin(nonce=nonce, code_verifier=verifier)
        async with self._db.begin() as uow:
            await repository_credentials.insert_oidc_login(uow, digest(state), login, clock.now() + self._options.holds)
        return Departure(url, state, int(self._options.holds.total_seconds()))

    async def finish(
        self, *, code: str, state: str, state_here: str | None, issuer: str | None = None, client: str | None = None
    ) -> TokenResponse:
        """End a sign-in: ``state`` came from the provider, ``state_here`` from the browser that left.

        Raises ``OidcDisabled``, ``OidcRefused`` and ``OidcUnavailable``. A state counts once, whatever comes of it.
        """
        provider = self.there()
        same = state_here is not None and secrets.compare_digest(state.encode(), state_here.encode())
        # RFC 9207: a provider that names itself must be the one that we sent to.
        if not same or issuer not in {None, provider.options.issuer}:
            log.warning("oidc_refused", reason="state" if not same else "issuer")
            raise OidcRefused
        async with self._db.begin() as uow:
            login = await repository_credentials.take_oidc_login(uow, digest(state))
        if login is None:
            log.warning("oidc_refused", reason="state unknown or used")
            raise OidcRefused
        claims = await provider.claims(code, login.code_verifier, login.nonce)
        async with self._db.begin() as uow:
            user = await self._account(uow, provider.options.issuer, claims)
            opened = await self._auth.sessions.open(uow, user, Method.OIDC, client)
        log.info("login_succeeded", user_id=str(user.user_id), method="oidc")
        return self._auth.answer(user, opened)

    async def close(self) -> None:
        """Close connections to the provider."""
        if self._provider is not None:
            await self._provider.close()

    @property
    def secure_cookies(self) -> bool:
        """Return whether browsers reach us by TLS, so that cookies may demand it."""
        return self._provider is not None and self._provider.options.redirect_url.startswith("https:")

    def there(self) -> OidcProvider:
        """Return the provider. Raises ``OidcDisabled`` if none is configured."""
        if self._provider is None:
            raise OidcDisabled
        return self._provider

    async def _account(self, uow: UnitOfWork, issuer: str, claims: Mapping[str, Any]) -> User:
        subject = str(claims["sub"])
        roles = self._roles(claims)
        user = await repository_credentials.user_of_identity(uow, issuer, subject)
        if user is None:
            return await self._sign_up(uow, issuer, subject, claims, roles or frozenset())
        if not user.is_active:
            log.warning("oidc_refused", reason="account closed")
            raise OidcRefused
        if roles is not None and roles != user.roles - {Role.DRIVER}:
            # Who drives is known here; everything else the provider says.
            kept = user.roles & {Role.DRIVER}
            return await repository.update_user(uow, msgspec.structs.replace(user, roles=roles | kept)) or user
        return user

    async def _sign_up(
        self, uow: UnitOfWork, issuer: str, subject: str, claims: Mapping[str, Any], roles: frozenset[Role]
    ) -> User:
        if not self._options.sign_up:
            log.warning("oidc_refused", reason="no account")
            raise OidcRefused
        email = claims.get("email") if claims.get("email_verified") is True else None
        if not isinstance(email, str) or not _EMAIL.match(email):
            email = None
        if email is not None and await repository.taken_field(uow, "", email):
            # Somebody's already: that account stays its own.
            email = None
        wanted = _username(claims, subject)
        for name in (wanted, f"{wanted[:50]}-{digest(f'{issuer} {subject}').hex()[:12]}"):
            user = await repository.insert_user(uow, NewUser(username=name, email=email, roles=roles), NEVER_PASSWORD)
            if user is not None:
                break
        else:
            raise OidcRefused
        if not await repository_credentials.link_identity(uow, issuer, subject, user.user_id):
            # The same person signed up twice at once: the other one stands.
            raise OidcRefused
        log.info("oidc_account_made", user_id=str(user.user_id))
        return user

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[Role] | None:
        """Return the roles that the provider's groups bring; None where roles are set here."""
        if self._options.role_claim is None:
            return None
        found: Any = claims
        for part in self._options.role_claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        names = [found] if isinstance(found, str) else found if isinstance(found, list) else []
        groups = {name for name in names if isinstance(name, str)}
        return frozenset(role for group, role in self._options.roles.items() if group in groups)


def _username(claims: Mapping[str, Any], subject: str) -> str:
    for name in (claims.get("preferred_username"), str(claims.get("email", "")).partition("@")[0]):
        if isinstance(name, str) and re.match(USERNAME_PATTERN, name):
            return name
    return f"oidc-{digest(subject).hex()[:12]}"
