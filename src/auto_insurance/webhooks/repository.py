"""All SQL of webhook endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, insert, select, update

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.webhooks.models import webhook_endpoints
from auto_insurance.webhooks.signing import Held


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as stored; see ``models.webhook_endpoints``."""

    endpoint_id: UUID
    url: str
    description: str
    events: list[str]
    active: bool
    secret_salt: bytes
    secret_key_id: str
    old_salt: bytes | None = None
    old_key_id: str | None = None
    old_until: datetime | None = None
    failing_since: datetime | None = None
    disabled_reason: str | None = None
    created_at: datetime
    created_by: UUID
    updated_at: datetime

    @property
    def held(self) -> Held:
        """What is stored of the secret."""
        return Held(self.secret_salt, self.secret_key_id)

    def old_held(self, at: datetime) -> Held | None:
        """Return what is stored of the secret before, while it still signs."""
        if self.old_salt is None or self.old_key_id is None or self.old_until is None or self.old_until <= at:
            return None
        return Held(self.old_salt, self.old_key_id)


async def count_endpoints(uow: UnitOfWork) -> int:
    """Return how many endpoints there are."""
    return int((await uow.conn.execute(select(func.count()).select_from(webhook_endpoints))).scalar_one())


async def add_endpoint(uow: UnitOfWork, row: EndpointRow) -> None:
    """Insert an endpoint."""
    await uow.conn.execute(insert(webhook_endpoints).values(msgspec.structs.asdict(row)))


async def get_endpoint(uow: UnitOfWork, endpoint_id: UUID, *, lock: bool = False) -> EndpointRow | None:
    """Return an endpoint, locked until the transaction ends if asked for."""
    query = select(webhook_endpoints).where(webhook_endpoints.c.endpoint_id == endpoint_id)
    row = (await uow.conn.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    return None if row is None else EndpointRow(**row)


async def page_of_endpoints(uow: UnitOfWork, *, limit: int, offset: int) -> tuple[Sequence[EndpointRow], int]:
    """Return a page of endpoints, the oldest first, and how many there are."""
    c = webhook_endpoints.c
    query = select(webhook_endpoints).order_by(c.created_at, c.endpoint_id).limit(limit).offset(offset)
    rows = [EndpointRow(**row) for row in (await uow.conn.execute(query)).mappings()]
    return rows, await count_endpoints(uow)


async def active_endpoints(uow: UnitOfWork, limit: int) -> list[EndpointRow]:
    """Return the endpoints that are switched on."""
    query = select(webhook_endpoints).where(webhook_endpoints.c.active).limit(limit)
    return [EndpointRow(**row) for row in (await uow.conn.execute(query)).mappings()]


async def change_endpoint(uow: UnitOfWork, endpoint_id: UUID, values: Mapping[str, Any]) -> None:
    """Write columns of an endpoint."""
    query = update(webhook_endpoints).where(webhook_endpoints.c.endpoint_id == endpoint_id)
    await uow.conn.execute(query.values(dict(values)))


async def remove_endpoint(uow: UnitOfWork, endpoint_id: UUID) -> None:
    """Delete an endpoint, with the salts of its secrets."""
    await uow.conn.execute(delete(webhook_endpoints).where(webhook_endpoints.c.endpoint_id == endpoint_id))


async def note_well(uow: UnitOfWork, endpoint_id: UUID) -> None:
    """Forget that an endpoint failed."""
    c = webhook_endpoints.c
    query = update(webhook_endpoints).where(c.endpoint_id == endpoint_id, c.failing_since.is_not(None))
    await uow.conn.execute(query.values(failing_since=None))


async def note_failing(uow: UnitOfWork, endpoint_id: UUID, at: datetime) -> None:
    """Remember since when an endpoint fails."""
    c = webhook_endpoints.c
    query = update(webhook_endpoints).where(c.endpoint_id == endpoint_id, c.failing_since.is_(None))
    await uow.conn.execute(query.values(failing_since=at))


async def disable(
    uow: UnitOfWork, endpoint_id: UUID, reason: str, at: datetime, *, failing_before: datetime | None
) -> bool:
    """Switch an endpoint off, if it has failed since ``failing_before`` or earlier; return whether this did it."""
    c = webhook_endpoints.c
    query = update(webhook_endpoints).where(c.endpoint_id == endpoint_id, c.active)
    if failing_before is not None:
        query = query.where(c.failing_since <= failing_before)
    return (await uow.conn.execute(query.values(active=False, disabled_reason=reason, updated_at=at))).rowcount > 0
