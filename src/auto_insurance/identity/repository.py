"""All SQL of accounts and sessions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, Select, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert

from auto_insurance.identity.models import refresh_tokens, sessions, users
from auto_insurance.identity.schemas import NewUser, Role, User, known_roles
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids


class StoredUser(msgspec.Struct, frozen=True, kw_only=True):
    """An account and its password hash, for the sign-in only."""

    user: User
    password_hash: str

    def __repr__(self) -> str:
        return f"StoredUser({self.user.user_id})"


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


_USER_COLUMNS = (
    users.c.user_id,
    users.c.username,
    users.c.email,
    users.c.roles,
    users.c.driver_id,
    users.c.is_active,
    users.c.created_at,
)


def _user(row: Row[*tuple[Any, ...]]) -> User:
    return User(
        user_id=row.user_id,
        username=row.username,
        email=row.email,
        roles=known_roles(row.roles),
        driver_id=row.driver_id,
        is_active=row.is_active,
        created_at=row.created_at,
    )


async def _one_user(uow: UnitOfWork, query: Select[*tuple[Any, ...]]) -> User | None:
    row = (await uow.conn.execute(query)).one_or_none()
    return _user(row) if row is not None else None


async def insert_user(uow: UnitOfWork, new: NewUser, password_hash: str) -> User | None:
    """Create an account; None if its username or e-mail address is taken."""
    query = (
        pg_insert(users)
        .values(
            user_id=ids.new_uuid(),
            username=new.username,
            email=new.email,
            password_hash=password_hash,
            roles=sorted(new.roles),
            driver_id=new.driver_id,
            created_at=clock.now(),
            updated_at=clock.now(),
        )
        .on_conflict_do_nothing()
        .returning(*_USER_COLUMNS)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    return _user(row) if row is not None else None


async def taken_field(uow: UnitOfWork, username: str, email: str | None) -> str | None:
    """Return ``username`` or ``email``, whichever an account has already; None if neither."""
    same_name = func.lower(users.c.username) == func.lower(username)
    same_email = func.lower(users.c.email) == func.lower(email or "")
    found = (await uow.conn.execute(select(same_name.label("by_name")).where(or_(same_name, same_email)))).scalars()
    hits = list(found)
    if not hits:
        return None
    return "username" if any(hits) else "email"


async def get_user(uow: UnitOfWork, user_id: UUID) -> User | None:
    """Return an account."""
    return await _one_user(uow, select(*_USER_COLUMNS).where(users.c.user_id == user_id))


async def find_user(uow: UnitOfWork, username: str) -> User | None:
    """Return the account of that name, whatever the case."""
    return await _one_user(uow, select(*_USER_COLUMNS).where(func.lower(users.c.username) == func.lower(username)))


async def find_for_login(uow: UnitOfWork, username: str) -> StoredUser | None:
    """Return the account of that name and its hash."""
    query = select(*_USER_COLUMNS, users.c.password_hash).where(func.lower(users.c.username) == func.lower(username))
    row = (await uow.conn.execute(query)).one_or_none()
    return StoredUser(user=_user(row), password_hash=row.password_hash) if row is not None else None


async def replace_hash(uow: UnitOfWork, user_id: UUID, old: str, new: str) -> None:
    """Store a re-computed hash, unless the password was changed meanwhile."""
    query = update(users).where(users.c.user_id == user_id, users.c.password_hash == old)
    await uow.conn.execute(query.values(password_hash=new, updated_at=clock.now()))


async def has_admin(uow: UnitOfWork, demo_domain: str) -> bool:
    """Return whether an administrator other than the demo's exists and is active."""
    real = or_(users.c.email.is_(None), users.c.email.not_like(f"%{demo_domain}"))
    query = select(users.c.user_id).where(users.c.roles.any(Role.ADMIN.value), users.c.is_active, real).limit(1)
    return (await uow.conn.execute(query)).first() is not None


async def adopt_demo_account(uow: UnitOfWork, new: NewUser, password_hash: str, demo_domain: str) -> bool:
    """Turn the demo's account of that name into a real one; False if there is no such account."""
    same = func.lower(users.c.username) == func.lower(new.username)
    query = update(users).where(same, users.c.email.like(f"%{demo_domain}"))
    values = {"email": new.email, "password_hash": password_hash, "roles": sorted(new.roles), "is_active": True}
    changed = await uow.conn.execute(query.values(**values, updated_at=clock.now()))
    return changed.rowcount > 0


async def set_active(uow: UnitOfWork, email_ending: str, *, active: bool) -> int:
    """Open or close the accounts whose e-mail address ends so; return how many changed."""
    query = update(users).where(users.c.email.like(f"%{email_ending}"), users.c.is_active.is_not(active))
    return (await uow.conn.execute(query.values(is_active=active, updated_at=clock.now()))).rowcount


async def link_driver(uow: UnitOfWork, user_id: UUID, driver_id: str, roles: Collection[str]) -> None:
    """Make an account that of a driver."""
    query = update(users).where(users.c.user_id == user_id)
    await uow.conn.execute(query.values(driver_id=driver_id, roles=sorted(roles), updated_at=clock.now()))


async def insert_session(uow: UnitOfWork, session_id: UUID, user_id: UUID, expires_at: datetime) -> None:
    """Open a session."""
    await uow.conn.execute(
        insert(sessions).values(session_id=session_id, user_id=user_id, created_at=clock.now(), expires_at=expires_at)
    )


async def insert_refresh_token(uow: UnitOfWork, token_hash: bytes, session_id: UUID, expires_at: datetime) -> None:
    """Add a refresh token to a session."""
    await uow.conn.execute(
        insert(refresh_tokens).values(
            token_hash=token_hash, session_id=session_id, created_at=clock.now(), expires_at=expires_at
        )
    )


async def use_refresh_token(uow: UnitOfWork, token_hash: bytes) -> UsedToken | None:
    """Use a token up: at most one caller ever gets it back. None if it is not valid (any more)."""
    now = clock.now()
    used = (
        update(refresh_tokens)
        .where(refresh_tokens.c.token_hash == token_hash, refresh_tokens.c.used_at.is_(None))
        .where(refresh_tokens.c.expires_at > now)
        .values(used_at=now)
        .returning(refresh_tokens.c.session_id)
        .cte("used")
    )
    query = (
        select(*_USER_COLUMNS, sessions.c.session_id, sessions.c.expires_at)
        .join(users, users.c.user_id == sessions.c.user_id)
        .join(used, used.c.session_id == sessions.c.session_id)
        .where(sessions.c.revoked_at.is_(None), sessions.c.expires_at > now, users.c.is_active)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    if row is None:
        return None
    return UsedToken(session_id=row.session_id, session_expires_at=row.expires_at, user=_user(row))


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


async def session_state(uow: UnitOfWork, session_id: UUID) -> SessionState | None:
    """Return a session with its account as both are now; None if there is no such session."""
    query = (
        select(
            users.c.user_id,
            users.c.username,
            users.c.roles,
            users.c.driver_id,
            sessions.c.expires_at,
            or_(sessions.c.revoked_at.is_not(None), ~users.c.is_active).label("revoked"),
        )
        .join(users, users.c.user_id == sessions.c.user_id)
        .where(sessions.c.session_id == session_id)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    if row is None:
        return None
    return SessionState(
        user_id=row.user_id,
        username=row.username,
        roles=known_roles(row.roles),
        driver_id=row.driver_id,
        expires_at=row.expires_at,
        revoked=row.revoked,
    )


async def delete_ended_sessions(uow: UnitOfWork, before: datetime, limit: int) -> int:
    """Delete sessions that expired before an instant, the tokens with them; returns how many."""
    ended = select(sessions.c.session_id).where(sessions.c.expires_at < before).limit(limit)
    gone = await uow.conn.execute(
        delete(sessions).where(sessions.c.session_id.in_(ended)).returning(sessions.c.session_id)
    )
    return len(gone.all())
