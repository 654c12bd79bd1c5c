"""Signing in, staying signed in, signing out.

These use cases open their own transactions: a password is verified outside of any, and a reused refresh token must be
answered with an error while the revocation that it causes is committed.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from auto_insurance.identity import repository, repository_credentials, repository_sessions
from auto_insurance.identity.api_keys import ApiKeyService
from auto_insurance.identity.errors import BadCredentials, InvalidRefreshToken, InvalidToken
from auto_insurance.identity.guard import GuardOptions, LoginGuard
from auto_insurance.identity.passwords import Passwords
from auto_insurance.identity.repository import StoredUser
from auto_insurance.identity.repository_sessions import SessionState
from auto_insurance.identity.schemas import Principal, TokenResponse, User
from auto_insurance.identity.sessions import Ended, Method, Opened, SessionOptions, Sessions
from auto_insurance.identity.tokens import API_KEY_PREFIX, AccessTokens, TokenOptions, digest
from auto_insurance.infra import acting, metrics
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.kernel import clock

log = structlog.get_logger(__name__)


class AuthService:
    """Use cases of the sign-in."""

    def __init__(
        self,
        db: Database,
        passwords: Passwords,
        tokens: TokenOptions,
        options: SessionOptions | None = None,
        limiter: RateLimiter | None = None,
        *,
        guard: GuardOptions | None = None,
        api_keys: ApiKeyService | None = None,
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._tokens = AccessTokens(tokens)
        self.sessions = Sessions(db, options)
        self.guard = LoginGuard(limiter or RateLimiter(), guard)
        self.api_keys = api_keys or ApiKeyService(db)

    async def login(self, username: str, password: str, *, address: str, client: str | None = None) -> TokenResponse:
        """Open a session.

        Raises ``BadCredentials`` alike for an unknown user, a wrong password and a disabled account, and
        ``TooManyAttempts`` after too many failures, see :mod:`guard`.
        """
        await self.guard.admit(address, username)
        async with self._db.read() as uow:
            stored = await repository.find_for_login(uow, username)
        right = await self._passwords.verify(stored.password_hash if stored else None, password)
        if stored is None or not right or not stored.user.is_active:
            await self.guard.failed(address, username)
            metrics.LOGIN_FAILURES_TOTAL.inc()
            log.info("login_failed")
            raise BadCredentials
        # Again: guesses made at the same time must not slip through before the first of them has failed.
        await self.guard.admit(address, username)
        rehashed = await self._rehash(stored, password)
        _acts(stored.user)
        async with self._db.begin() as uow:
            if rehashed is not None:
                await repository.replace_hash(uow, stored.user.user_id, stored.password_hash, rehashed)
            opened = await self.sessions.open(uow, stored.user, Method.PASSWORD, client)
        await self.guard.succeeded(address, username)
        log.info("login_succeeded", user_id=str(stored.user.user_id))
        return self.answer(stored.user, opened)

    async def refresh(self, refresh_token: str) -> TokenResponse:
        """Exchange a refresh token for fresh tokens.

        A token that was used before ends the whole session: either the caller or whoever used it stole it. Raises
        ``InvalidRefreshToken``.
        """
        token_hash = digest(refresh_token)
        async with self._db.begin() as uow:
            used = await repository_sessions.use_refresh_token(uow, token_hash)
            if used is not None:
                _acts(used.user)
                fresh = await self.sessions.new_token(uow, used.session_id, used.session_expires_at)
                return self.answer(used.user, Opened(used.session_id, fresh))
            stolen = await repository_sessions.used_before(uow, token_hash)
            if stolen is not None:
                await self.sessions.end(uow, stolen, Ended.REUSE)
                uow.note("session", stolen, ended="reuse")
                log.warning("refresh_token_reused", session_id=str(stolen))
        raise InvalidRefreshToken

    async def logout(self, refresh_token: str) -> None:
        """End the session that a refresh token belongs to; an unknown token ends nothing."""
        async with self._db.begin() as uow:
            session_id = await repository_sessions.session_of_token(uow, digest(refresh_token))
            if session_id is not None:
                state = await repository_sessions.session_state(uow, session_id)
                if state is not None:
                    _acts(state)
                await self.sessions.end(uow, session_id, Ended.LOGOUT)
                uow.note("session", session_id, ended="logout")

    async def authenticate(self, secret: str) -> Principal:
        """Return whom an access token or API key speaks for, with roles and driver as they are now (1 s stale at most).

        Raises ``InvalidToken``, ``ExpiredToken`` or ``InvalidApiKey``.
        """
        if secret.startswith(API_KEY_PREFIX):
            return _by_key(await self.api_keys.check(secret))
        claimed = self._tokens.read(secret)
        if claimed.session_id is None:
            raise InvalidToken
        state = await self.sessions.state(claimed.session_id)
        ended = state is None or state.revoked or state.expires_at <= clock.now()
        if state is None or ended or state.user_id != claimed.user_id:
            raise InvalidToken("The session has ended; sign in again.")
        _acts(state)
        return Principal(
            user_id=state.user_id,
            username=state.username,
            roles=state.roles,
            driver_id=state.driver_id,
            session_id=claimed.session_id,
        )

    async def account(self, uow: UnitOfWork, user_id: UUID) -> User:
        """Return the caller's account. Raises ``InvalidToken`` if it has gone."""
        user = await repository.get_user(uow, user_id)
        if user is None:
            raise InvalidToken
        return user

    async def purge_expired(self, uow: UnitOfWork, *, limit: int = 1000) -> int:
        """Delete what has expired: sessions, links to set a password, sign-ins under way; returns how many sessions."""
        await repository_credentials.delete_expired(uow, clock.now(), limit)
        return await self.sessions.purge_expired(uow, limit=limit)

    def answer(self, user: User, opened: Opened) -> TokenResponse:
        """Return the tokens of a session that was opened or renewed."""
        return TokenResponse(
            access_token=self._tokens.issue(user, opened.session_id),
            refresh_token=opened.refresh_token,
            expires_in=self._tokens.ttl_s,
        )

    async def _rehash(self, stored: StoredUser, password: str) -> str | None:
        if not self._passwords.is_outdated(stored.password_hash):
            return None
        return await self._passwords.hash(password)


def _acts(who: User | SessionState) -> None:
    """Say for the audit log whose request this is."""
    acting.identify(acting.Actor("user", str(who.user_id), who.username, who.driver_id))


def _by_key(principal: Principal) -> Principal:
    """Say for the audit log which key this is; return whom it speaks for."""
    acting.identify(acting.Actor("api_key", str(principal.key_id), principal.username, principal.driver_id))
    return principal
