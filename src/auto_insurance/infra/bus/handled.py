"""Notes which domain events a group has handled, so that an event delivered twice has its effect once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, any_, bindparam, delete, func, literal, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import Uuid

from auto_insurance.infra.bus.models import handled_events
from auto_insurance.infra.db.uow import UnitOfWork


async def note_handled(uow: UnitOfWork, group: str, event_ids: Sequence[UUID]) -> set[UUID]:
    """Note the ids for the group in the caller's transaction and return those that were new."""
    if not event_ids:
        return set()
    # Sorted: two transactions that note the same ids wait for each other instead of deadlocking.
    ids = bindparam("ids", sorted(set(event_ids)), type_=ARRAY(Uuid()))
    rows = select(literal(group), func.unnest(ids))
    query = (
        insert(handled_events)
        .from_select(["group_name", "event_id"], rows)
        .on_conflict_do_nothing()
        .returning(handled_events.c.event_id)
    )
    return set((await uow.conn.execute(query)).scalars())


async def prune_handled(uow: UnitOfWork, before: datetime, *, limit: int = 50_000) -> int:
    """Forget events handled before an instant; it must be further back than the topics' retention. Returns how many."""
    # By the rows' own places: a join by key would read the whole table again.
    place: ColumnElement[Any] = literal_column("ctid")
    old = select(place).select_from(handled_events).where(handled_events.c.handled_at < before).limit(limit)
    query = delete(handled_events).where(place == any_(func.array(old.scalar_subquery())))
    return (await uow.conn.execute(query)).rowcount
