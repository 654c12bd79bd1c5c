"""All SQL of device keys."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import LargeBinary, Text, Uuid, any_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from auto_insurance.identity.models import device_keys
from auto_insurance.identity.schemas import DeviceKey, DeviceKeyFacts
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as the check needs it."""

    key_id: UUID
    device_id: str
    scopes: frozenset[str]
    revoked_at: datetime | None
    last_used_at: datetime | None


async def insert_key(
    uow: UnitOfWork, key_id: UUID, device_id: str, key_hash: bytes, scopes: Collection[str], *, prefix: str
) -> None:
    """Store a key's hash, and how it begins."""
    facts = {"key_id": key_id, "device_id": device_id, "key_hash": key_hash, "prefix": prefix}
    await uow.conn.execute(insert(device_keys).values(**facts, scopes=sorted(scopes), created_at=clock.now()))


async def find_keys(uow: UnitOfWork, hashes: Collection[bytes]) -> dict[bytes, StoredKey]:
    """Return those of the keys that exist by their hashes, revoked or not; one statement."""
    wanted = bindparam("hashes", list(hashes), type_=ARRAY(LargeBinary))
    query = select(
        device_keys.c.key_hash,
        device_keys.c.key_id,
        device_keys.c.device_id,
        device_keys.c.scopes,
        device_keys.c.revoked_at,
        device_keys.c.last_used_at,
    ).where(device_keys.c.key_hash == any_(wanted))
    return {
        row.key_hash: StoredKey(
            key_id=row.key_id,
            device_id=row.device_id,
            scopes=frozenset(row.scopes),
            revoked_at=row.revoked_at,
            last_used_at=row.last_used_at,
        )
        for row in await uow.conn.execute(query)
    }


async def revoke_keys(uow: UnitOfWork, device_ids: Collection[str], at: datetime) -> list[bytes]:
    """Let all keys of devices that are valid after ``at`` end then; returns their hashes."""
    wanted = bindparam("device_ids", sorted(device_ids), type_=ARRAY(Text))
    query = (
        update(device_keys)
        .where(device_keys.c.device_id == any_(wanted))
        .where(or_(device_keys.c.revoked_at.is_(None), device_keys.c.revoked_at > at))
        .values(revoked_at=at)
        .returning(device_keys.c.key_hash)
    )
    return list((await uow.conn.execute(query)).scalars())


async def touch_keys(uow: UnitOfWork, key_ids: Collection[UUID], at: datetime, resolution: timedelta) -> None:
    """Note uses, but where one as recent as ``resolution`` is noted already or somebody else is about to."""
    wanted = bindparam("key_ids", list(key_ids), type_=ARRAY(Uuid))
    due = (
        select(device_keys.c.key_id)
        .where(device_keys.c.key_id == any_(wanted))
        .where(or_(device_keys.c.last_used_at.is_(None), device_keys.c.last_used_at < at - resolution))
        .with_for_update(skip_locked=True)
    )
    await uow.conn.execute(update(device_keys).where(device_keys.c.key_id.in_(due)).values(last_used_at=at))


async def keys_of_device(uow: UnitOfWork, device_id: str, limit: int, offset: int) -> tuple[list[DeviceKey], int]:
    """Return a page of a device's keys, ended ones too, the newest first, and how many there are."""
    own = device_keys.c.device_id == device_id
    total = (await uow.conn.execute(select(func.count()).select_from(device_keys).where(own))).scalar_one()
    query = (
        select(
            device_keys.c.key_id,
            device_keys.c.prefix,
            device_keys.c.scopes,
            device_keys.c.created_at,
            device_keys.c.last_used_at,
            device_keys.c.revoked_at.label("ends_at"),
        )
        .where(own)
        .order_by(device_keys.c.created_at.desc())
    )
    rows = await uow.conn.execute(query.limit(limit).offset(offset))
    return [DeviceKey(**{**row._asdict(), "scopes": frozenset(row.scopes)}) for row in rows], total


async def key_facts(uow: UnitOfWork, device_ids: Collection[str]) -> dict[str, DeviceKeyFacts]:
    """Return the newest valid key of each device that has one, in one query."""
    ids = bindparam("device_ids", sorted(device_ids), type_=ARRAY(Text))
    query = (
        select(
            device_keys.c.device_id,
            device_keys.c.scopes,
            device_keys.c.created_at,
            device_keys.c.last_used_at,
        )
        .distinct(device_keys.c.device_id)
        .where(device_keys.c.device_id == any_(ids))
        .where(or_(device_keys.c.revoked_at.is_(None), device_keys.c.revoked_at > clock.now()))
        .order_by(device_keys.c.device_id, device_keys.c.created_at.desc())
    )
    return {
        row.device_id: DeviceKeyFacts(
            device_id=row.device_id,
            scopes=frozenset(row.scopes),
            created_at=row.created_at,
            last_used_at=row.last_used_at,
        )
        for row in await uow.conn.execute(query)
    }
