"""Dead letters: rows in the transaction that moves past the record, relayed to the dead-letter topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select

from auto_insurance.contracts import topics
from auto_insurance.contracts.deadletters import RECORD_DEAD_LETTERED, RecordDeadLettered
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.models import dead_letters
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.events import new_event

_MAX_DETAIL = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What died, where it stood and why. ``reason`` comes from a closed set; ``detail`` holds no personal data."""

    topic: str
    partition: int
    offset: int
    index_in_record: int | None
    key: str
    reason: str
    detail: str
    value: bytes
    group: str = ""


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter as it lies in the database."""

    id: int
    created_at: datetime
    letter: DeadLetter


async def add_dead_letters(uow: UnitOfWork, letters: Sequence[DeadLetter]) -> None:
    """Store dead letters in the caller's transaction and publish them; counted once that commits."""
    if not letters:
        return
    await uow.conn.execute(insert(dead_letters), [_values(letter) for letter in letters])
    for letter in letters:
        payload = RecordDeadLettered(
            group=letter.group,
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
            index_in_record=letter.index_in_record,
            reason=letter.reason,
            detail=letter.detail[:_MAX_DETAIL],
            value=letter.value,
        )
        event = new_event(payload, type=RECORD_DEAD_LETTERED, version=1, key=letter.key)
        uow.publish(topics.TELEMATICS_DLQ, event)
    by_reason = Counter(letter.reason for letter in letters)

    async def count() -> None:
        for reason, number in by_reason.items():
            metrics.DEAD_LETTERS_TOTAL.labels(reason).inc(number)

    uow.after_commit(count)


async def list_dead_letters(
    uow: UnitOfWork, *, reason: str | None = None, page: int = 1, page_size: int = 20
) -> tuple[list[StoredDeadLetter], int]:
    """Return a page of dead letters, newest first, and how many there are in all."""
    query = select(dead_letters).order_by(dead_letters.c.id.desc())
    if reason is not None:
        query = query.where(dead_letters.c.reason == reason)
    total = await count_dead_letters(uow, reason=reason)
    rows = await uow.conn.execute(query.limit(page_size).offset((page - 1) * page_size))
    return [_stored(row) for row in rows], total


async def count_dead_letters(uow: UnitOfWork, *, reason: str | None = None) -> int:
    """Return how many dead letters there are."""
    query = select(func.count()).select_from(dead_letters)
    if reason is not None:
        query = query.where(dead_letters.c.reason == reason)
    return int((await uow.conn.execute(query)).scalar_one())


def _values(letter: DeadLetter) -> dict[str, Any]:
    return {
        "group_name": letter.group,
        "topic": letter.topic,
        "partition_no": letter.partition,
        "record_offset": letter.offset,
        "index_in_record": letter.index_in_record,
        "key": letter.key,
        "reason": letter.reason,
        "detail": letter.detail[:_MAX_DETAIL].replace("\x00", ""),
        "value": letter.value,
    }


def _stored(row: Row[Any]) -> StoredDeadLetter:
    letter = DeadLetter(
        topic=row.topic,
        partition=row.partition_no,
        offset=row.record_offset,
        index_in_record=row.index_in_record,
        key=row.key,
        reason=row.reason,
        detail=row.detail,
        value=row.value,
        group=row.group_name,
    )
    return StoredDeadLetter(id=row.id, created_at=row.created_at, letter=letter)
