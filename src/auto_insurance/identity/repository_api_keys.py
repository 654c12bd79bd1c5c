"""All SQL of API keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import DateTime, Row, Uuid, column, func, insert, or_, select, update, values

from auto_insurance.identity.models import api_keys, users
from auto_insurance.identity.schemas import ApiKey, known_roles
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock


class KeyState(msgspec.Struct, frozen=True, kw_only=True):
    """What the database says of a key and its account now."""

    key_id: UUID
    user_id: UUID
    username: str
    roles: frozenset[str]
    driver_id: str | None
    scopes: frozenset[str]
    expires_at: datetime
    revoked: bool


_COLUMNS = (
    api_keys.c.key_id,
    api_keys.c.user_id,
    api_keys.c.name,
    api_keys.c.prefix,
    api_keys.c.scopes,
    api_keys.c.created_by,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.revoked_at,
    api_keys.c.last_used_at,
)


def _key(row: Row[*tuple[Any, ...]]) -> ApiKey:
    return ApiKey(**{**row._asdict(), "scopes": frozenset(row.scopes)})


async def insert_api_key(uow: UnitOfWork, key: ApiKey, key_hash: bytes) -> None:
    """Store a key's hash and facts."""
    facts = {**msgspec.structs.asdict(key), "scopes": sorted(key.scopes)}
    await uow.conn.execute(insert(api_keys).values(**facts, key_hash=key_hash))


async def api_key_state(uow: UnitOfWork, key_hash: bytes) -> KeyState | None:
    """Return the key of that hash with its account, as both are now; None if there is no such key."""
    query = (
        select(
            api_keys.c.key_id,
            users.c.user_id,
            users.c.username,
            users.c.roles,
            users.c.driver_id,
            api_keys.c.scopes,
            api_keys.c.expires_at,
            or_(api_keys.c.revoked_at.is_not(None), ~users.c.is_active).label("revoked"),
        )
        .join(users, users.c.user_id == api_keys.c.user_id)
        .where(api_keys.c.key_hash == key_hash)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    if row is None:
        return None
    return KeyState(**{**row._asdict(), "roles": known_roles(row.roles), "scopes": frozenset(row.scopes)})


async def get_api_key(uow: UnitOfWork, key_id: UUID) -> ApiKey | None:
    """Return a key's facts."""
    row = (await uow.conn.execute(select(*_COLUMNS).where(api_keys.c.key_id == key_id))).one_or_none()
    return _key(row) if row is not None else None


async def keys_of_user(uow: UnitOfWork, user_id: UUID, limit: int, offset: int) -> tuple[Sequence[ApiKey], int]:
    """Return a page of an account's keys, the newest first, and how many there are."""
    own = api_keys.c.user_id == user_id
    total = (await uow.conn.execute(select(func.count()).select_from(api_keys).where(own))).scalar_one()
    query = select(*_COLUMNS).where(own).order_by(api_keys.c.created_at.desc(), api_keys.c.key_id)
    return [_key(row) for row in await uow.conn.execute(query.limit(limit).offset(offset))], total


async def count_valid_keys(uow: UnitOfWork, user_id: UUID) -> int:
    """Return how many keys of an account are good now."""
    good = api_keys.c.revoked_at.is_(None) & (api_keys.c.expires_at > clock.now())
    query = select(func.count()).select_from(api_keys).where(api_keys.c.user_id == user_id, good)
    return (await uow.conn.execute(query)).scalar_one()


async def revoke_api_key(uow: UnitOfWork, key_id: UUID) -> bytes | None:
    """End a key; returns its hash, None if it had ended or is not there."""
    query = update(api_keys).where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
    ended = await uow.conn.execute(query.values(revoked_at=clock.now()).returning(api_keys.c.key_hash))
    key_hash: bytes | None = ended.scalar_one_or_none()
    return key_hash


async def touch_api_keys(uow: UnitOfWork, used: Mapping[UUID, datetime]) -> int:
    """Note when keys were used last, in one statement; returns how many changed."""
    rows = values(column("key_id", Uuid), column("at", DateTime(timezone=True)), name="used").data(list(used.items()))
    query = (
        update(api_keys)
        .where(api_keys.c.key_id == rows.c.key_id)
        .where(or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < rows.c.at))
        .values(last_used_at=rows.c.at)
    )
    return (await uow.conn.execute(query)).rowcount
