"""All SQL of what is sent to endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import (
    ColumnElement,
    Integer,
    Uuid,
    any_,
    column,
    delete,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.webhooks.models import webhook_deliveries, webhook_endpoints

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as stored, without its body; see ``models.webhook_deliveries``."""

    delivery_id: UUID
    endpoint_id: UUID
    event_id: UUID
    event_type: str
    state: str
    attempts: int
    next_at: datetime
    created_at: datetime
    attempted_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None
    duration_ms: int | None = None


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to make."""

    delivery_id: UUID
    endpoint_id: UUID
    event_id: UUID
    event_type: str
    body: bytes
    next_at: datetime
    created_at: datetime


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was taken to be tried; ``attempts`` counts this attempt."""

    delivery_id: UUID
    endpoint_id: UUID
    event_id: UUID
    event_type: str
    body: bytes
    attempts: int


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended."""

    state: str
    next_at: datetime
    attempted_at: datetime
    last_status: int | None
    last_error: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for endpoints that are switched on, since when the oldest is due, and what is dead."""

    pending: int
    oldest_due: datetime | None
    dead: int


_COLUMNS = [webhook_deliveries.c[name] for name in DeliveryRow.__struct_fields__]


async def add_deliveries(uow: UnitOfWork, rows: Sequence[NewDelivery]) -> int:
    """Insert deliveries, except of events that their endpoint has already; return how many."""
    if not rows:
        return 0
    values = [{**msgspec.structs.asdict(row), "state": PENDING, "attempts": 0} for row in rows]
    query = upsert(webhook_deliveries).values(values)
    return (await uow.conn.execute(query.on_conflict_do_nothing(index_elements=["endpoint_id", "event_id"]))).rowcount


async def claim_due(uow: UnitOfWork, free: Mapping[UUID, int], now: datetime, until: datetime) -> list[Claimed]:
    """Take the longest due deliveries of each endpoint, as many as it has ``free`` places, in one statement.

    Nobody else gets them before ``until``. What another process is taking is left to it.
    """
    if not free:
        return []
    wanted = (
        func.unnest(literal(list(free), ARRAY(Uuid())), literal(list(free.values()), ARRAY(Integer)))
        .table_valued(column("endpoint_id", Uuid()), column("places", Integer))
        .render_derived(name="wanted")
    )
    d = webhook_deliveries.alias("d")
    due = (
        select(d.c.delivery_id)
        .where(d.c.endpoint_id == wanted.c.endpoint_id, d.c.state == literal_column("'pending'"), d.c.next_at <= now)
        .order_by(d.c.next_at)
        .limit(wanted.c.places)
        .with_for_update(skip_locked=True)
        .lateral("due")
    )
    taken = select(due.c.delivery_id).select_from(wanted.join(due, literal(True)))
    c = webhook_deliveries.c
    query = (
        update(webhook_deliveries)
        .where(c.delivery_id == any_(func.array(taken.scalar_subquery())))
        .values(attempts=c.attempts + 1, next_at=until)
        .returning(*(c[name] for name in Claimed.__struct_fields__))
    )
    return [Claimed(**row) for row in (await uow.conn.execute(query)).mappings()]


async def settle(uow: UnitOfWork, delivery_id: UUID, attempts: int, how: Settlement) -> bool:
    """Write how an attempt ended; False if the delivery is somebody else's by now, or gone."""
    c = webhook_deliveries.c
    mine = (c.delivery_id == delivery_id, c.attempts == attempts, c.state == PENDING)
    query = update(webhook_deliveries).where(*mine).values(msgspec.structs.asdict(how))
    return (await uow.conn.execute(query)).rowcount > 0


async def list_deliveries(
    uow: UnitOfWork, endpoint_id: UUID, state: str | None, *, limit: int, offset: int
) -> tuple[Sequence[DeliveryRow], int]:
    """Return a page of an endpoint's deliveries, the newest first, and how many there are."""
    c = webhook_deliveries.c
    wanted: list[ColumnElement[bool]] = [c.endpoint_id == endpoint_id]
    if state is not None:
        # As text, so that the partial index of this state is seen whatever plan is kept.
        wanted.append(c.state == literal_column(f"'{_STATES[state]}'"))
    total = (await uow.conn.execute(select(func.count()).select_from(webhook_deliveries).where(*wanted))).scalar_one()
    query = select(*_COLUMNS).where(*wanted).order_by(c.created_at.desc(), c.delivery_id).limit(limit).offset(offset)
    return [DeliveryRow(**row) for row in (await uow.conn.execute(query)).mappings()], int(total)


_STATES = {name: name for name in (PENDING, DELIVERED, DEAD)}


async def get_delivery(uow: UnitOfWork, endpoint_id: UUID, delivery_id: UUID) -> DeliveryRow | None:
    """Return a delivery of an endpoint, locked until the transaction ends."""
    c = webhook_deliveries.c
    query = select(*_COLUMNS).where(c.delivery_id == delivery_id, c.endpoint_id == endpoint_id).with_for_update()
    row = (await uow.conn.execute(query)).mappings().one_or_none()
    return None if row is None else DeliveryRow(**row)


async def revive(uow: UnitOfWork, delivery_id: UUID, now: datetime) -> None:
    """Let a delivery be tried again from the beginning."""
    query = update(webhook_deliveries).where(webhook_deliveries.c.delivery_id == delivery_id)
    await uow.conn.execute(query.values(state=PENDING, attempts=0, next_at=now))


async def revive_dead(uow: UnitOfWork, endpoint_id: UUID, now: datetime, limit: int) -> int:
    """Let an endpoint's dead deliveries be tried again, the oldest first; return how many."""
    c = webhook_deliveries.c
    dead = c.state == literal_column("'dead'")
    oldest = (
        select(c.delivery_id).where(c.endpoint_id == endpoint_id, dead).order_by(c.created_at, c.delivery_id.desc())
    )
    query = update(webhook_deliveries).where(
        c.delivery_id == any_(func.array(oldest.limit(limit).scalar_subquery())), dead
    )
    return (await uow.conn.execute(query.values(state=PENDING, attempts=0, next_at=now))).rowcount


async def backlog(uow: UnitOfWork, limit: int) -> Backlog:
    """Return what waits and what is dead, of at most ``limit`` endpoints."""
    d, e = webhook_deliveries, webhook_endpoints
    active = select(e.c.endpoint_id).where(e.c.active).limit(limit)
    every = select(e.c.endpoint_id).limit(limit)
    waiting = (
        select(func.count(), func.min(d.c.next_at))
        .where(d.c.endpoint_id == any_(func.array(active.scalar_subquery())))
        .where(d.c.state == literal_column("'pending'"))
    )
    buried = (
        select(func.count())
        .select_from(d)
        .where(d.c.endpoint_id == any_(func.array(every.scalar_subquery())), d.c.state == literal_column("'dead'"))
    )
    pending, oldest = (await uow.conn.execute(waiting)).one()
    return Backlog(int(pending), oldest, int((await uow.conn.execute(buried)).scalar_one()))


async def prune_deliveries(uow: UnitOfWork, before: datetime, limit: int = 20_000) -> int:
    """Delete deliveries that were made before an instant, however they stand; return how many."""
    c = webhook_deliveries.c
    old = select(c.delivery_id).where(c.created_at < before).order_by(c.created_at).limit(limit)
    query = delete(webhook_deliveries).where(c.delivery_id == any_(func.array(old.scalar_subquery())))
    return (await uow.conn.execute(query)).rowcount
