"""SQL of the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    LargeBinary,
    Select,
    Text,
    Uuid,
    bindparam,
    delete,
    func,
    or_,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy import Row as SqlRow
from sqlalchemy.dialects.postgresql import insert

from auto_insurance.audit.chain import Anchor, Opened, Row, instant
from auto_insurance.audit.models import audit_anchors, audit_log, audit_subjects
from auto_insurance.infra.db.uow import UnitOfWork

_log = audit_log.c
_ORDER = (_log.at.desc(), _log.id.desc())


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row that waits for its number."""

    id: UUID
    at: datetime
    actor_kind: str
    actor: bytes | None
    action: str
    subject_kind: str | None
    subject_id: str | None
    subject: bytes | None
    request_id: str | None
    details: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows are wanted; without anything, all."""

    actor: str | None = None
    """Id or name of who acted."""
    action: str | None = None
    """Beginning of the action."""
    subject: str | None = None
    """Id of what, or whom, it concerned."""
    since: datetime | None = None
    until: datetime | None = None
    search: str | None = None
    """A part of action, subject or request id."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row with what is still known behind its seals."""

    row: NewRow
    number: int | None
    hash: bytes | None
    actor: Opened | None
    subject: Opened | None


# The row is there if and only if the transaction has a number, which PostgreSQL gives at the first write.
_ADD = text(
    """
    WITH wrote AS MATERIALIZED (SELECT pg_current_xact_id_if_assigned() IS NOT NULL AS yes),
    hidden AS (
        INSERT INTO audit_subjects (seal, log_id, kind, ident, label, address, private, salt)
        SELECT s.seal, :id, s.kind, s.ident, s.label, s.address, s.private, s.salt
        FROM unnest(:seals, :kinds, :idents, :labels, :addresses, :privates, :salts)
            AS s (seal, kind, ident, label, address, private, salt)
        WHERE (SELECT yes FROM wrote)
    )
    INSERT INTO audit_log
        (id, at, actor_kind, actor, action, subject_kind, subject_id, subject, request_id, details)
    SELECT :id, :at, :actor_kind, :actor, :action, :subject_kind, :subject_id, :subject, :request_id, :details
    WHERE (SELECT yes FROM wrote)
    """
).bindparams(
    *(bindparam(name, type_=ARRAY(Text())) for name in ("kinds", "idents", "labels", "addresses", "privates")),
    *(bindparam(name, type_=ARRAY(LargeBinary())) for name in ("seals", "salts")),
    *(bindparam(name, type_=LargeBinary()) for name in ("actor", "subject")),
    bindparam("id", type_=Uuid()),
    bindparam("at", type_=DateTime(timezone=True)),
    *(
        bindparam(name, type_=Text())
        for name in ("actor_kind", "action", "subject_kind", "subject_id", "request_id", "details")
    ),
)


async def add_if_written(uow: UnitOfWork, row: NewRow, opened: Sequence[tuple[bytes, Opened]]) -> bool:
    """Add a row, and what its seals stand for, if the transaction has written anything; return whether it had."""
    values: dict[str, Any] = {name: getattr(row, name) for name in NewRow.__slots__}
    values |= {
        "seals": [value for value, _ in opened],
        "kinds": [one.kind for _, one in opened],
        "idents": [one.ident for _, one in opened],
        "labels": [one.label for _, one in opened],
        "addresses": [one.address for _, one in opened],
        "privates": [one.private for _, one in opened],
        "salts": [one.salt for _, one in opened],
    }
    return (await uow.conn.execute(_ADD, values)).rowcount == 1


async def forget(uow: UnitOfWork, kind: str, ident: str) -> int:
    """Delete what the seals of a person stand for; return how many."""
    hidden = audit_subjects.c
    query = delete(audit_subjects).where(hidden.ident == ident, hidden.kind == kind)
    return (await uow.conn.execute(query)).rowcount


# --- the chain ---


async def head(uow: UnitOfWork) -> Anchor | None:
    """Return the last row of the chain, be it one that left; None if there was none."""
    row = (await uow.conn.execute(_PLACE, {"number": 2**62})).one_or_none()
    return None if row is None else Anchor(row.number, bytes(row.hash))


_PLACE = text(
    """
    SELECT number, hash FROM (
        (SELECT number, hash FROM audit_log WHERE number <= :number ORDER BY number DESC LIMIT 1)
        UNION ALL (SELECT last_number, hash FROM audit_closings ORDER BY last_number DESC LIMIT 1)
    ) AS places ORDER BY number DESC LIMIT 1
    """
)


async def place_at(uow: UnitOfWork, number: int) -> Anchor | None:
    """Return the row with a number, or the last one before it; the last that left, where those are gone."""
    row = (await uow.conn.execute(_PLACE, {"number": number})).one_or_none()
    return None if row is None else Anchor(row.number, bytes(row.hash))


async def waiting(uow: UnitOfWork, limit: int) -> list[NewRow]:
    """Return the oldest committed rows that wait for their number."""
    columns = [audit_log.c[name] for name in NewRow.__slots__]
    query = select(*columns).where(_log.number.is_(None)).order_by(_log.at, _log.id).limit(limit)
    return [NewRow(*row) for row in await uow.conn.execute(query)]


async def count_waiting(uow: UnitOfWork) -> int:
    """Return how many rows wait for their number."""
    query = select(func.count()).select_from(audit_log).where(_log.number.is_(None))
    return int((await uow.conn.execute(query)).scalar_one())


_NUMBER = text(
    """
    UPDATE audit_log SET number = n.number, hash = n.hash
    FROM unnest(:row_ids, :numbers, :hashes) AS n (id, number, hash)
    WHERE audit_log.id = n.id
    """
).bindparams(
    bindparam("row_ids", type_=ARRAY(Uuid())),
    bindparam("numbers", type_=ARRAY(BigInteger())),
    bindparam("hashes", type_=ARRAY(LargeBinary())),
)


async def put_numbers(uow: UnitOfWork, links: Sequence[tuple[UUID, Anchor]]) -> int:
    """Give rows their numbers and hashes; return how many took them."""
    values = {
        "row_ids": [row_id for row_id, _ in links],
        "numbers": [link.number for _, link in links],
        "hashes": [link.hash for _, link in links],
    }
    return (await uow.conn.execute(_NUMBER, values)).rowcount


async def stretch(uow: UnitOfWork, after: int, limit: int) -> list[tuple[Row, dict[bytes, Opened]]]:
    """Return the rows that follow a number, in order, with what is known behind their seals."""
    query = _with_opened().where(_log.number > after).order_by(_log.number).limit(limit)
    found = []
    for stored in map(_stored, await uow.conn.execute(query)):
        opened = {
            value: one
            for value, one in ((stored.row.actor, stored.actor), (stored.row.subject, stored.subject))
            if value is not None and one is not None
        }
        found.append((chained(stored.row, Anchor(stored.number or 0, stored.hash or b"")), opened))
    return found


def chained(row: NewRow, place: Anchor) -> Row:
    """Return a row as the chain sees it."""
    return Row(
        number=place.number,
        id=str(row.id),
        at=instant(row.at),
        actor_kind=row.actor_kind,
        actor=row.actor,
        action=row.action,
        subject_kind=row.subject_kind,
        subject_id=row.subject_id,
        subject=row.subject,
        request_id=row.request_id,
        details=row.details,
        hash=place.hash,
    )


# --- anchors ---


async def add_anchor(uow: UnitOfWork, anchor: Anchor, at: datetime) -> None:
    """Keep how far the chain was verified; an anchor that is there stays."""
    new = insert(audit_anchors).values(number=anchor.number, hash=anchor.hash, at=at)
    await uow.conn.execute(new.on_conflict_do_nothing())


async def last_anchor(uow: UnitOfWork) -> tuple[Anchor, datetime] | None:
    """Return the highest anchor, and when it was made."""
    columns = audit_anchors.c
    query = select(columns.number, columns.hash, columns.at).order_by(columns.number.desc()).limit(1)
    row = (await uow.conn.execute(query)).one_or_none()
    return None if row is None else (Anchor(row.number, row.hash), row.at)


async def anchors_after(uow: UnitOfWork, after: int, limit: int) -> list[Anchor]:
    """Return anchors from a number on, in order."""
    columns = audit_anchors.c
    query = select(columns.number, columns.hash).where(columns.number >= after).order_by(columns.number).limit(limit)
    return [Anchor(*row) for row in await uow.conn.execute(query)]


# --- reading ---


async def page(uow: UnitOfWork, wanted: AuditFilter, limit: int, offset: int) -> list[StoredRow]:
    """Return rows, the newest first."""
    query = _with_opened().where(*_conditions(wanted)).order_by(*_ORDER).limit(limit).offset(offset)
    return [_stored(row) for row in await uow.conn.execute(query)]


async def page_before(
    uow: UnitOfWork, wanted: AuditFilter, limit: int, before: tuple[datetime, UUID] | None
) -> list[StoredRow]:
    """Return rows older than one, the newest first: walks a log of any length in bounded steps."""
    query = _with_opened().where(*_conditions(wanted)).order_by(*_ORDER).limit(limit)
    if before is not None:
        query = query.where(tuple_(_log.at, _log.id) < tuple_(*before))
    return [_stored(row) for row in await uow.conn.execute(query)]


async def count(uow: UnitOfWork, wanted: AuditFilter) -> int:
    """Return how many rows there are."""
    query = select(func.count()).select_from(audit_log).where(*_conditions(wanted))
    return int((await uow.conn.execute(query)).scalar_one())


_OPENED = ("kind", "ident", "label", "address", "private", "salt")
_NAMES = tuple(NewRow.__slots__)


def _with_opened() -> Select[Any]:
    who, whom = audit_subjects.alias("who"), audit_subjects.alias("whom")
    columns = [audit_log.c[name] for name in (*_NAMES, "number", "hash")]
    behind = [table.c[name] for table in (who, whom) for name in _OPENED]
    joined = audit_log.outerjoin(who, who.c.seal == _log.actor).outerjoin(whom, whom.c.seal == _log.subject)
    return select(*columns, *behind).select_from(joined)


def _stored(row: SqlRow[Any]) -> StoredRow:
    values = tuple(row)
    first = len(_NAMES)
    second = first + 2
    return StoredRow(
        row=NewRow(*values[:first]),
        number=values[first],
        hash=values[first + 1],
        actor=_opened(values[second : second + len(_OPENED)]),
        subject=_opened(values[second + len(_OPENED) :]),
    )


def _opened(values: tuple[Any, ...]) -> Opened | None:
    return None if values[0] is None else Opened(*values)


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    hidden = audit_subjects.c
    found: list[ColumnElement[bool]] = []
    if wanted.actor is not None:
        known = or_(hidden.ident == wanted.actor, hidden.label == wanted.actor)
        found.append(_log.id.in_(select(hidden.log_id).where(known)))
        found.append(_log.actor.in_(select(hidden.seal).where(known)))
    if wanted.subject is not None:
        other = audit_log.alias("other").c
        people = select(hidden.log_id).where(hidden.ident == wanted.subject)
        things = select(other.id).where(other.subject_id == wanted.subject)
        found.append(_log.id.in_(union_all(people, things)))
        # Who acted has a seal in the row too.
        whom = select(hidden.seal).where(hidden.ident == wanted.subject)
        found.append(or_(_log.subject_id == wanted.subject, _log.subject.in_(whom)))
    if wanted.action is not None:
        found.append(_log.action.startswith(wanted.action, autoescape=True))
    if wanted.since is not None:
        found.append(_log.at >= wanted.since)
    if wanted.until is not None:
        found.append(_log.at < wanted.until)
    if wanted.search is not None:
        places = (_log.action, _log.subject_id, _log.request_id)
        found.append(or_(*(place.icontains(wanted.search, autoescape=True) for place in places)))
    return found
