"""SQL of dead letters that staff look at and decide on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, Select, any_, bindparam, cast, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from auto_insurance.infra.bus.models import dead_letters
from auto_insurance.infra.db.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters. None does not filter."""

    state: str | None = None
    reason: str | None = None
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter with what was decided; ``value`` is None where nobody asked for the bytes."""

    id: int
    group: str
    topic: str
    partition: int
    offset: int
    index_in_record: int | None
    key: str
    reason: str
    detail: str
    size: int
    created_at: datetime
    state: str
    decided_at: datetime | None
    decided_by: str | None
    note: str | None
    value: bytes | None = None


_C = dead_letters.c
_HEAD = (
    _C.id,
    _C.group_name.label("group"),
    _C.topic,
    _C.partition_no.label("partition"),
    _C.record_offset.label("offset"),
    _C.index_in_record,
    _C.key,
    _C.reason,
    _C.detail,
    func.octet_length(_C.value, type_=BigInteger).label("size"),
    _C.created_at,
    _C.state,
    _C.decided_at,
    _C.decided_by,
    _C.note,
)


def _those(letter_ids: Collection[int]) -> Any:
    return _C.id == any_(bindparam("letter_ids", sorted(letter_ids), type_=ARRAY(BigInteger)))


def _matching(query: Select[Any], wanted: LetterFilter) -> Select[Any]:
    given: Mapping[Any, str | None] = {_C.state: wanted.state, _C.reason: wanted.reason, _C.topic: wanted.topic}
    return query.where(*(column == value for column, value in given.items() if value is not None))


async def page(uow: UnitOfWork, wanted: LetterFilter, *, limit: int, offset: int) -> tuple[list[Letter], int]:
    """Return letters without their bytes, the newest first, and how many there are."""
    query = _matching(select(*_HEAD), wanted).order_by(_C.id.desc()).limit(limit).offset(offset)
    rows = (await uow.conn.execute(query)).mappings().all()
    total = (await uow.conn.execute(_matching(select(func.count()).select_from(dead_letters), wanted))).scalar_one()
    return [Letter(**row) for row in rows], total


async def after(uow: UnitOfWork, wanted: LetterFilter, *, after: int, limit: int) -> list[Letter]:
    """Return letters without their bytes in the order of ids, from past one on."""
    query = _matching(select(*_HEAD), wanted).where(_C.id > after).order_by(_C.id).limit(limit)
    return [Letter(**row) for row in (await uow.conn.execute(query)).mappings()]


async def get(uow: UnitOfWork, letter_id: int, max_bytes: int) -> Letter | None:
    """Return a letter with the beginning of its bytes, at most ``max_bytes``."""
    value = func.substring(_C.value, 1, max_bytes, type_=LargeBinary).label("value")
    row = (await uow.conn.execute(select(*_HEAD, value).where(_C.id == letter_id))).mappings().one_or_none()
    return None if row is None else Letter(**row)


async def states(uow: UnitOfWork, letter_ids: Collection[int]) -> dict[int, str]:
    """Return how those of the letters that exist stand."""
    rows = await uow.conn.execute(select(_C.id, _C.state).where(_those(letter_ids)))
    return {row.id: row.state for row in rows}


async def take_ids(uow: UnitOfWork, letter_ids: Collection[int], max_bytes: int) -> list[Letter]:
    """Lock those of the letters that wait, with their bytes; those that somebody else decides on are left out."""
    return await _take(uow, select(_C.id, _C.value).where(_those(letter_ids)), max_bytes, len(letter_ids))


async def take_by(uow: UnitOfWork, wanted: LetterFilter, max_bytes: int, limit: int) -> list[Letter]:
    """Lock the oldest waiting letters of a filter, with their bytes; ``wanted.state`` says nothing."""
    given = LetterFilter(reason=wanted.reason, topic=wanted.topic)
    return await _take(uow, _matching(select(_C.id, _C.value), given), max_bytes, limit)


async def _take(uow: UnitOfWork, query: Select[Any], max_bytes: int, limit: int) -> list[Letter]:
    locked = query.where(_C.state == "waiting").order_by(_C.id).limit(limit).with_for_update(skip_locked=True).cte()
    size = cast(func.octet_length(locked.c.value), BigInteger)
    before = (func.sum(size).over(order_by=locked.c.id) - size).label("before")
    measured = select(locked.c.id, before).subquery()
    # One at least, however large.
    fits = (
        select(*_HEAD, _C.value)
        .join(measured, measured.c.id == _C.id)
        .where(measured.c.before < max_bytes)
        .order_by(_C.id)
    )
    return [Letter(**row) for row in (await uow.conn.execute(fits)).mappings()]


async def decide(
    uow: UnitOfWork, letter_ids: Collection[int], *, state: str, at: datetime, by: str, note: str | None
) -> frozenset[int]:
    """Replay or drop waiting letters: note who did so and when; the bytes of dropped ones go. Returns which it were."""
    values: dict[str, Any] = {"state": state, "decided_at": at, "decided_by": by, "note": note}
    if state == "dropped":
        values["value"] = b""
    query = update(dead_letters).where(_those(letter_ids), _C.state == "waiting").values(**values)
    return frozenset((await uow.conn.execute(query.returning(_C.id))).scalars())
