"""All SQL of sessions and their refresh tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Uuid, any_, delete, exists, func, insert, literal, or_, select, update

from auto_insurance.identity.models import refresh_tokens, sessions, users
from auto_insurance.identity.repository import USER_COLUMNS, user_of
from auto_insurance.identity.schemas import Session, User, known_roles
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """What the database says of a session now."""

    user_id: UUID
    username: str
    roles: frozenset[str]
    driver_id: str | None
    expires_at: datetime
    revoked: bool


class UsedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A refresh token that has just been used up, and the account that it renews."""

    session_id: UUID
    session_expires_at: datetime
    user: User


async def insert_session(
    uow: UnitOfWork, session_id: UUID, user_id: UUID, expires_at: datetime, *, method: str, client: str | None
) -> None:
    """Open a session."""
    facts = {"session_id": session_id, "user_id": user_id, "method": method, "client": client}
    await uow.conn.execute(insert(sessions).values(**facts, created_at=clock.now(), expires_at=expires_at))


async def insert_refresh_token(uow: UnitOfWork, token_hash: bytes, session_id: UUID, expires_at: datetime) -> None:
    """Add a refresh token to a session."""
    await uow.conn.execute(
        insert(refresh_tokens).values(
            token_hash=token_hash, session_id=session_id, created_at=clock.now(), expires_at=expires_at
        )
    )


async def use_refresh_token(uow: UnitOfWork, token_hash: bytes) -> UsedToken | None:
    """Use a token up: at most one caller ever gets it back. None if it is not valid (any more).

    One whose session or account has ended stays as it is: that is no reuse.
    """
    now = clock.now()
    alive = (
        exists()
        .where(sessions.c.session_id == refresh_tokens.c.session_id, users.c.user_id == sessions.c.user_id)
        .where(sessions.c.revoked_at.is_(None), sessions.c.expires_at > now, users.c.is_active)
    )
    used = (
        update(refresh_tokens)
        .where(refresh_tokens.c.token_hash == token_hash, refresh_tokens.c.used_at.is_(None))
        .where(refresh_tokens.c.expires_at > now, alive)
        .values(used_at=now)
        .returning(refresh_tokens.c.session_id)
        .cte("used")
    )
    query = (
        select(*USER_COLUMNS, sessions.c.session_id, sessions.c.expires_at)
        .join(users, users.c.user_id == sessions.c.user_id)
        .join(used, used.c.session_id == sessions.c.session_id)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    if row is None:
        return None
    return UsedToken(session_id=row.session_id, session_expires_at=row.expires_at, user=user_of(row))


async def used_before(uow: UnitOfWork, token_hash: bytes) -> UUID | None:
    """Return the session of a token that was used up at some time."""
    query = select(refresh_tokens.c.session_id).where(
        refresh_tokens.c.token_hash == token_hash, refresh_tokens.c.used_at.is_not(None)
    )
    return (await uow.conn.execute(query)).scalar_one_or_none()


async def session_of_token(uow: UnitOfWork, token_hash: bytes) -> UUID | None:
    """Return the session that a refresh token, used or not, belongs to."""
    query = select(refresh_tokens.c.session_id).where(refresh_tokens.c.token_hash == token_hash)
    return (await uow.conn.execute(query)).scalar_one_or_none()


async def revoke_session(uow: UnitOfWork, session_id: UUID, reason: str) -> None:
    """End a session; its first end counts."""
    query = update(sessions).where(sessions.c.session_id == session_id, sessions.c.revoked_at.is_(None))
    await uow.conn.execute(query.values(revoked_at=clock.now(), revoke_reason=reason))


async def revoke_own_session(uow: UnitOfWork, user_id: UUID, session_id: UUID, reason: str) -> bool:
    """End a session of an account; False if there is none that is open."""
    query = (
        update(sessions)
        .where(sessions.c.session_id == session_id, sessions.c.user_id == user_id)
        .where(sessions.c.revoked_at.is_(None), sessions.c.expires_at > clock.now())
    )
    changed = await uow.conn.execute(query.values(revoked_at=clock.now(), revoke_reason=reason))
    return changed.rowcount > 0


async def revoke_sessions(uow: UnitOfWork, user_id: UUID, reason: str, keep: UUID | None) -> list[UUID]:
    """End all open sessions of an account, but for ``keep``; returns which."""
    query = update(sessions).where(sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None))
    if keep is not None:
        query = query.where(sessions.c.session_id != keep)
    ended = query.values(revoked_at=clock.now(), revoke_reason=reason).returning(sessions.c.session_id)
    return list((await uow.conn.execute(ended)).scalars())


async def open_sessions(uow: UnitOfWork, user_id: UUID, limit: int) -> list[Session]:
    """Return an account's open sessions, the one used last first. A session is used when it is refreshed."""
    tokens = refresh_tokens
    used = (
        select(func.max(tokens.c.created_at)).where(tokens.c.session_id == sessions.c.session_id).scalar_subquery()
    ).label("last_used_at")
    query = (
        select(
            sessions.c.session_id,
            sessions.c.created_at,
            sessions.c.expires_at,
            sessions.c.method,
            sessions.c.client,
            used,
        )
        .where(sessions.c.user_id == user_id)
        .where(sessions.c.revoked_at.is_(None), sessions.c.expires_at > clock.now())
        .order_by(used.desc().nulls_last(), sessions.c.session_id)
        .limit(limit)
    )
    return [Session(**row._asdict()) for row in await uow.conn.execute(query)]


async def session_state(uow: UnitOfWork, session_id: UUID) -> SessionState | None:
    """Return a session with its account as both are now; None if there is no such session."""
    return (await session_states(uow, [session_id])).get(session_id)


async def session_states(uow: UnitOfWork, session_ids: Sequence[UUID]) -> dict[UUID, SessionState]:
    """Return those of the sessions that exist, each with its account as both are now."""
    query = (
        select(
            sessions.c.session_id,
            users.c.user_id,
            users.c.username,
            users.c.roles,
            users.c.driver_id,
            sessions.c.expires_at,
            or_(sessions.c.revoked_at.is_not(None), ~users.c.is_active).label("revoked"),
        )
        .join(users, users.c.user_id == sessions.c.user_id)
        .where(sessions.c.session_id == any_(literal(list(session_ids), ARRAY(Uuid()))))
    )
    return {
        row.session_id: SessionState(
            user_id=row.user_id,
            username=row.username,
            roles=known_roles(row.roles),
            driver_id=row.driver_id,
            expires_at=row.expires_at,
            revoked=row.revoked,
        )
        for row in await uow.conn.execute(query)
    }


async def delete_ended_sessions(uow: UnitOfWork, before: datetime, limit: int) -> int:
    """Delete sessions that expired before an instant, the tokens with them; returns how many."""
    ended = select(sessions.c.session_id).where(sessions.c.expires_at < before).limit(limit)
    gone = await uow.conn.execute(
        delete(sessions).where(sessions.c.session_id.in_(ended)).returning(sessions.c.session_id)
    )
    return len(gone.all())
