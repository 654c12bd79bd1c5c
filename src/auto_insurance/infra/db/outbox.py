"""The transactional outbox: domain events wait here, unnumbered, until the sequencer moves them to the log."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import BigInteger, Column, DateTime, Identity, LargeBinary, Table, Text, Uuid, func, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from auto_insurance.infra.db.metadata import metadata
from auto_insurance.kernel import events
from auto_insurance.kernel.events import Envelope

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("event_id", Uuid, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


async def append_to_outbox(conn: AsyncConnection, pending: Sequence[tuple[str, Envelope]]) -> None:
    """Write events in the caller's transaction, in the order given."""
    await conn.execute(
        insert(outbox),
        [
            {"topic": topic, "key": event.key, "value": events.encode(event), "event_id": event.id}
            for topic, event in pending
        ],
    )
