"""Signing in, staying signed in, signing out.

These use cases open their own transactions: a password is verified outside of any, and a reused refresh token must be
answered with an error while the revocation that it causes is committed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from cachetools import TTLCache

from auto_insurance.identity import repository
from auto_insurance.identity.errors import BadCredentials, InvalidRefreshToken, InvalidToken, TooManyAttempts
from auto_insurance.identity.passwords import Passwords
from auto_insurance.identity.repository import SessionState, StoredUser
from auto_insurance.identity.schemas import Principal, TokenResponse, User
from auto_insurance.identity.single_flight import SingleFlight
from auto_insurance.identity.tokens import AccessTokens, TokenOptions, digest, new_refresh_token
from auto_insurance.infra import acting, metrics
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.kernel import clock, ids

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How long sessions live and how stale their revocation may be seen."""

    refresh_ttl: timedelta = timedelta(days=14)
    """A refresh token that is not used for this long is worth nothing."""
    lifetime: timedelta = timedelta(days=90)
    """Absolute: a session ends then, however often it is refreshed."""
    check_ttl_s: float = 1.0
    """A revoked session or a changed role is seen after this at the latest."""
    cached_sessions: int = 50_000
    failures: int = 5
    """Failed sign-ins per address and account in ``failure_window_s``; more are refused. Successes never count."""
    failure_window_s: float = 60.0


class AuthService:
    """Use cases of the sign-in."""

    def __init__(
        self,
        db: Database,
        passwords: Passwords,
        tokens: TokenOptions,
        options: SessionOptions | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._tokens = AccessTokens(tokens)
        self._options = options or SessionOptions()
        self._limiter = limiter or RateLimiter()
        # Value: when its query began (monotonic), and what it said.
        self._states: TTLCache[UUID, tuple[float, SessionState | None]] = TTLCache(
            self._options.cached_sessions, ttl=self._options.check_ttl_s
        )
        self._fetches: SingleFlight[UUID, SessionState | None] = SingleFlight()

    async def login(self, username: str, password: str, *, address: str) -> TokenResponse:
        """Open a session.

        Raises ``BadCredentials`` alike for an unknown user, a wrong password and a disabled account, and
        ``TooManyAttempts`` after too many failures from this address for this account.
        """
        key = f"login|{address}|{username.casefold()}"
        await self._refuse_guessing(key)
        async with self._db.read() as uow:
            stored = await repository.find_for_login(uow, username)
        right = await self._passwords.verify(stored.password_hash if stored else None, password)
        if stored is None or not right or not stored.user.is_active:
            decision = await self._limiter.hit(key, self._options.failures, self._options.failure_window_s)
            metrics.LOGIN_FAILURES_TOTAL.inc()
            log.info("login_failed")
            raise BadCredentials if decision.allowed else TooManyAttempts(decision.retry_after_s)
        # Again: guesses made at the same time must not slip through before the first of them has failed.
        await self._refuse_guessing(key)
        rehashed = await self._rehash(stored, password)
        _acts(stored.user)
        session_id = ids.new_uuid()
        async with self._db.begin() as uow:
            if rehashed is not None:
                await repository.replace_hash(uow, stored.user.user_id, stored.password_hash, rehashed)
            expires_at = clock.now() + self._options.lifetime
            await repository.insert_session(uow, session_id, stored.user.user_id, expires_at)
            refresh_token = await self._new_token(uow, session_id, expires_at)
        log.info("login_succeeded", user_id=str(stored.user.user_id))
        return self._answer(stored.user, session_id, refresh_token)

    async def refresh(self, refresh_token: str) -> TokenResponse:
        """Exchange a refresh token for fresh tokens.

        A token that was used before ends the whole session: either the caller or whoever used it stole it. Raises
        ``InvalidRefreshToken``.
        """
        token_hash = digest(refresh_token)
        async with self._db.begin() as uow:
            used = await repository.use_refresh_token(uow, token_hash)
            if used is not None:
                _acts(used.user)
                fresh = await self._new_token(uow, used.session_id, used.session_expires_at)
                return self._answer(used.user, used.session_id, fresh)
            stolen = await repository.used_before(uow, token_hash)
            if stolen is not None:
                await repository.revoke_session(uow, stolen, "reuse")
                uow.note("session", stolen, ended="reuse")
                log.warning("refresh_token_reused", session_id=str(stolen))
        if stolen is not None:
            self._states.pop(stolen, None)
        raise InvalidRefreshToken

    async def logout(self, refresh_token: str) -> None:
        """End the session that a refresh token belongs to; an unknown token ends nothing."""
        async with self._db.begin() as uow:
            session_id = await repository.session_of_token(uow, digest(refresh_token))
            if session_id is not None:
                state = await repository.session_state(uow, session_id)
                if state is not None:
                    _acts(state)
                await repository.revoke_session(uow, session_id, "logout")
                uow.note("session", session_id, ended="logout")
        if session_id is not None:
            self._states.pop(session_id, None)

    async def authenticate(self, access_token: str) -> Principal:
        """Return whom a token speaks for, with roles and driver as they are now (1 s stale at most).

        Raises ``InvalidToken`` or ``ExpiredToken``.
        """
        claimed = self._tokens.read(access_token)
        if claimed.session_id is None:
            raise InvalidToken
        state = await self._state(claimed.session_id)
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

    async def account(self, uow: UnitOfWork, principal: Principal) -> User:
        """Return the caller's account. Raises ``InvalidToken`` if it has gone."""
        user = await repository.get_user(uow, principal.user_id)
        if user is None:
            raise InvalidToken
        return user

    async def purge_expired(self, uow: UnitOfWork, *, limit: int = 1000) -> int:
        """Delete sessions that ended a day ago or more, with their tokens; returns how many, at most ``limit``."""
        return await repository.delete_ended_sessions(uow, clock.now() - timedelta(days=1), limit)

    async def _state(self, session_id: UUID) -> SessionState | None:
        cached = self._states.get(session_id)
        if cached is not None and time.monotonic() - cached[0] < self._options.check_ttl_s:
            return cached[1]
        return await self._fetches.run(session_id, lambda: self._fetch_state(session_id))

    async def _fetch_state(self, session_id: UUID) -> SessionState | None:
        began = time.monotonic()
        async with self._db.read() as uow:
            state = await repository.session_state(uow, session_id)
        self._states[session_id] = (began, state)
        return state

    async def _refuse_guessing(self, key: str) -> None:
        decision = await self._limiter.peek(key, self._options.failures, self._options.failure_window_s)
        if not decision.allowed:
            raise TooManyAttempts(decision.retry_after_s)

    async def _rehash(self, stored: StoredUser, password: str) -> str | None:
        if not self._passwords.is_outdated(stored.password_hash):
            return None
        return await self._passwords.hash(password)

    async def _new_token(self, uow: UnitOfWork, session_id: UUID, session_expires_at: datetime) -> str:
        token = new_refresh_token()
        expires_at = min(clock.now() + self._options.refresh_ttl, session_expires_at)
        await repository.insert_refresh_token(uow, digest(token), session_id, expires_at)
        return token

    def _answer(self, user: User, session_id: UUID, refresh_token: str) -> TokenResponse:
        return TokenResponse(
            access_token=self._tokens.issue(user, session_id),
            refresh_token=refresh_token,
            expires_in=self._tokens.ttl_s,
        )


def _acts(who: User | SessionState) -> None:
    """Say for the audit log whose request this is."""
    acting.identify(acting.Actor("user", str(who.user_id), who.username, who.driver_id))
