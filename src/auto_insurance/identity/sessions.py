"""Sessions: opened at a sign-in, renewed by refresh tokens, ended by people, staff or theft; their state in L1."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from cachetools import TTLCache

from auto_insurance.identity import repository_sessions as repository
from auto_insurance.identity.errors import SessionNotFound
from auto_insurance.identity.repository_sessions import SessionState
from auto_insurance.identity.schemas import Session, User
from auto_insurance.identity.tokens import digest, new_refresh_token
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.together import Together
from auto_insurance.kernel import clock, ids

MAX_CLIENT = 200
MAX_LISTED = 100


class Ended(StrEnum):
    """Why a session ended before its time."""

    LOGOUT = "logout"
    REUSE = "reuse"
    STAFF = "staff"
    PASSWORD = "password"  # noqa: S105 - a reason
    OWNER = "owner"


class Method(StrEnum):
    """How somebody signed in."""

    PASSWORD = "password"  # noqa: S105 - a way
    OIDC = "oidc"


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


@dataclass(frozen=True, slots=True)
class Opened:
    """A session and the refresh token that goes on with it."""

    session_id: UUID
    refresh_token: str


class Sessions:
    """Opens, checks, lists and ends sessions."""

    def __init__(self, db: Database, options: SessionOptions | None = None) -> None:
        self._db = db
        self._options = options or SessionOptions()
        # Value: when its query began (monotonic), and what it said.
        self._states: TTLCache[UUID, tuple[float, SessionState | None]] = TTLCache(
            self._options.cached_sessions, ttl=self._options.check_ttl_s
        )
        # Thousands of people are looked at once a second each: one by one that would be a query a request.
        self._fetches: Together[UUID, SessionState] = Together(self._fetch)

    async def open(self, uow: UnitOfWork, user: User, method: Method, client: str | None) -> Opened:
        """Open a session of an account."""
        session_id, expires_at = ids.new_uuid(), clock.now() + self._options.lifetime
        shown = None if client is None else client[:MAX_CLIENT]
        await repository.insert_session(
            uow, session_id, user.user_id, expires_at, method=method.value, client=shown
        )  # fmt: skip
        return Opened(session_id, await self.new_token(uow, session_id, expires_at))

    async def new_token(self, uow: UnitOfWork, session_id: UUID, session_expires_at: datetime) -> str:
        """Return a further refresh token of a session."""
        token = new_refresh_token()
        expires_at = min(clock.now() + self._options.refresh_ttl, session_expires_at)
        await repository.insert_refresh_token(uow, digest(token), session_id, expires_at)
        return token

    async def state(self, session_id: UUID) -> SessionState | None:
        """Return a session as it is, ``check_ttl_s`` stale at most; None if there is none."""
        cached = self._states.get(session_id)
        if cached is not None and time.monotonic() - cached[0] < self._options.check_ttl_s:
            return cached[1]
        return await self._fetches.get(session_id)

    async def listed(self, uow: UnitOfWork, user_id: UUID) -> Sequence[Session]:
        """Return an account's sessions that are open now, the one used last first; at most 100."""
        return await repository.open_sessions(uow, user_id, MAX_LISTED)

    async def end(self, uow: UnitOfWork, session_id: UUID, reason: Ended) -> None:
        """End a session; its first end counts."""
        await repository.revoke_session(uow, session_id, reason.value)
        self._forget(uow, [session_id])

    async def end_own(self, uow: UnitOfWork, user_id: UUID, session_id: UUID) -> None:
        """End a session of that account. Raises ``SessionNotFound`` for another's and one that has ended."""
        if not await repository.revoke_own_session(uow, user_id, session_id, Ended.OWNER.value):
            raise SessionNotFound
        self._forget(uow, [session_id])

    async def end_all(self, uow: UnitOfWork, user_id: UUID, reason: Ended, *, keep: UUID | None = None) -> int:
        """End all sessions of an account, but for ``keep``; returns how many."""
        ended = await repository.revoke_sessions(uow, user_id, reason.value, keep)
        self._forget(uow, ended)
        return len(ended)

    async def purge_expired(self, uow: UnitOfWork, *, limit: int = 1000) -> int:
        """Delete sessions that ended a day ago or more, with their tokens; returns how many, at most ``limit``."""
        return await repository.delete_ended_sessions(uow, clock.now() - timedelta(days=1), limit)

    def _forget(self, uow: UnitOfWork, session_ids: Sequence[UUID]) -> None:
        async def forget() -> None:
            for session_id in session_ids:
                self._states.pop(session_id, None)

        uow.after_commit(forget)

    async def _fetch(self, session_ids: Sequence[UUID]) -> dict[UUID, SessionState]:
        began = time.monotonic()
        async with self._db.read() as uow:
            found = await repository.session_states(uow, session_ids)
        for session_id in session_ids:
            self._states[session_id] = (began, found.get(session_id))
        return found
