"""All SQL of the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Date, DateTime, Integer, Row, bindparam, case, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.earning import Segment, Term
from auto_insurance.policies.models_ledger import ledger_entries, ledger_postings, ledger_rates, ledger_terms
from auto_insurance.policies.postings import Account, EntryKind, MileRate, Position, Posting, Side

_TERM = ledger_terms.c
_EARN = text(
    """
    WITH due AS (
        SELECT policy_id, term, currency, earned, months, ends_on - starts_on AS days, segments
        FROM ledger_terms
        WHERE earned_to < earns_to AND earned_to < :day AND starts_on <= :day
        ORDER BY earned_to, policy_id, term
        LIMIT :most
        FOR UPDATE SKIP LOCKED
    ), target AS (
        SELECT due.policy_id, due.term, due.currency, due.earned AS before,
            round(coalesce(sum((s.part ->> 2)::numeric * (least(:day, (s.part ->> 1)::date) - (s.part ->> 0)::date)), 0)
                * due.months / (12 * due.days), 2) + coalesce(sum((s.part ->> 3)::numeric), 0) AS total
        FROM due
        LEFT JOIN LATERAL jsonb_array_elements(due.segments) AS s (part) ON (s.part ->> 0)::date <= :day
        GROUP BY due.policy_id, due.term, due.currency, due.earned, due.months, due.days
    ), moved AS (
        UPDATE ledger_terms AS t SET earned = target.total, earned_to = :day
        FROM target WHERE t.policy_id = target.policy_id AND t.term = target.term
        RETURNING t.policy_id
    ), entries AS (
        INSERT INTO ledger_entries
            (entry_id, policy_id, term, booked_on, effective_on, kind, reason, reference, created_at)
        SELECT gen_random_uuid(), policy_id, term, :day, :day, 'earning', 'earned by time',
            'earn:' || policy_id || ':' || term || ':' || to_char(CAST(:day AS date), 'YYYY-MM-DD'), :at
        FROM target WHERE total <> before
        RETURNING entry_id, policy_id, term
    ), lines AS (
        INSERT INTO ledger_postings (entry_id, seq, account, side, amount, currency)
        SELECT entries.entry_id, line.seq, line.account,
            CASE WHEN (total > before) = line.rises THEN 'debit' ELSE 'credit' END, abs(total - before), currency
        FROM entries
        JOIN target USING (policy_id, term)
        CROSS JOIN (VALUES (1, 'unearned_premium', true), (2, 'earned_premium', false)) AS line (seq, account, rises)
        RETURNING 1
    )
    SELECT count(*) FROM moved
    """
).bindparams(
    bindparam("day", type_=Date), bindparam("at", type_=DateTime(timezone=True)), bindparam("most", type_=Integer)
)
"""What ``postings.earn`` does, for many terms at once. The quotient has far more digits than it takes to tell a half
cent from its neighbours: the denominators are below 5,000."""


class TermRow(msgspec.Struct, frozen=True, kw_only=True):
    """A term of the ledger; see ``models_ledger.ledger_terms``."""

    policy_id: str
    term: int
    driver_id: str | None
    currency: str
    position: Position
    billed: Decimal
    instalments: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with its postings."""

    entry_id: UUID
    policy_id: str
    term: int
    transaction_id: str | None
    booked_on: date
    effective_on: date
    kind: EntryKind
    reason: str
    reference: str
    created_at: datetime
    currency: str
    postings: tuple[Posting, ...]
    pattern: tuple[Segment, ...] | None = None


_STORED = tuple(name for name in Entry.__struct_fields__ if name not in {"kind", "pattern", "currency", "postings"})


async def get_term(uow: UnitOfWork, policy_id: str, term: int, *, lock: bool = False) -> TermRow | None:
    """Return a term; with ``lock`` nobody else changes it until the transaction ends."""
    query = select(ledger_terms).where(_TERM.policy_id == policy_id, _TERM.term == term)
    row = (await uow.conn.execute(query.with_for_update() if lock else query)).one_or_none()
    return None if row is None else _term(row)


async def terms_of(uow: UnitOfWork, policy_id: str) -> list[TermRow]:
    """Return the terms of a policy in order."""
    query = select(ledger_terms).where(_TERM.policy_id == policy_id).order_by(_TERM.term).limit(1000)
    return [_term(row) for row in await uow.conn.execute(query)]


async def terms_of_many(uow: UnitOfWork, policy_ids: Sequence[str]) -> dict[str, list[TermRow]]:
    """Return the terms of policies in order, by policy."""
    query = select(ledger_terms).where(_TERM.policy_id.in_(policy_ids)).order_by(_TERM.policy_id, _TERM.term)
    found: dict[str, list[TermRow]] = {policy_id: [] for policy_id in policy_ids}
    for row in await uow.conn.execute(query):
        found[row.policy_id].append(_term(row))
    return found


async def latest_term(uow: UnitOfWork, policy_id: str, on: date) -> TermRow | None:
    """Return the term in which a day lies: the last that has begun, else the first."""
    query = (
        select(ledger_terms)
        .where(_TERM.policy_id == policy_id)
        .order_by(case((_TERM.starts_on <= on, _TERM.term), else_=-_TERM.term).desc())
        .limit(1)
    )
    row = (await uow.conn.execute(query)).one_or_none()
    return None if row is None else _term(row)


async def put_term(uow: UnitOfWork, row: TermRow) -> None:
    """Store how a term stands."""
    position = row.position
    values = {
        "driver_id": row.driver_id,
        "segments": pattern_of(position.segments),
        "written": position.written,
        "earned": position.earned,
        "earned_to": position.earned_to,
        "earns_to": max((part.to_on for part in position.segments), default=position.term.starts_on),
        "starts_on": position.term.starts_on,
        "ends_on": position.term.ends_on,
        "months": position.term.months,
        "billed": row.billed,
        "instalments": row.instalments,
    }
    new = insert(ledger_terms).values(policy_id=row.policy_id, term=row.term, currency=row.currency, **values)
    await uow.conn.execute(new.on_conflict_do_update(index_elements=["policy_id", "term"], set_=values))


async def has_entry(uow: UnitOfWork, reference: str) -> bool:
    """Return whether something has been booked."""
    query = select(func.count()).select_from(ledger_entries).where(ledger_entries.c.reference == reference)
    return bool((await uow.conn.execute(query)).scalar_one())


async def add_entry(uow: UnitOfWork, entry: Entry) -> bool:
    """Write an entry with its postings; False if its reference is booked already. The database checks the balance."""
    fields = {name: getattr(entry, name) for name in _STORED}
    pattern = None if entry.pattern is None else pattern_of(entry.pattern)
    new = insert(ledger_entries).values(**fields, kind=entry.kind.value, pattern=pattern)
    query = new.on_conflict_do_nothing(index_elements=["reference"]).returning(ledger_entries.c.entry_id)
    if (await uow.conn.execute(query)).one_or_none() is None:
        return False
    lines = [
        {
            "entry_id": entry.entry_id,
            "seq": seq,
            "account": posting.account.value,
            "side": posting.side.value,
            "amount": posting.amount,
            "currency": entry.currency,
        }
        for seq, posting in enumerate(entry.postings, start=1)
    ]
    await uow.conn.execute(insert(ledger_postings).values(lines))
    return True


async def earn_due(uow: UnitOfWork, on: date, at: datetime, limit: int) -> int:
    """Earn up to a day what is not earned yet, of some terms at most. Returns of how many.

    Terms that somebody books for right now are left for the next time.
    """
    return int((await uow.conn.execute(_EARN, {"day": on, "at": at, "most": limit})).scalar_one())


async def oldest_unearned(uow: UnitOfWork, on: date) -> date | None:
    """Return the earliest day up to which a running term has been earned, None if all are up to ``on``."""
    query = (
        select(_TERM.earned_to)
        .where(_TERM.earned_to < _TERM.earns_to, _TERM.earned_to < on, _TERM.starts_on <= on)
        .order_by(_TERM.earned_to)
        .limit(1)
    )
    return (await uow.conn.execute(query)).scalar_one_or_none()


async def sums(uow: UnitOfWork, policy_id: str, on: date) -> dict[str, dict[str, Decimal]]:
    """Return debits less credits of each account of a policy up to a day, by currency."""
    signed = case((ledger_postings.c.side == "debit", ledger_postings.c.amount), else_=-ledger_postings.c.amount)
    query = (
        select(ledger_postings.c.currency, ledger_postings.c.account, func.sum(signed))
        .join_from(ledger_entries, ledger_postings)
        .where(ledger_entries.c.policy_id == policy_id, ledger_entries.c.booked_on <= on)
        .group_by(ledger_postings.c.currency, ledger_postings.c.account)
    )
    found: dict[str, dict[str, Decimal]] = {}
    for currency, account, amount in await uow.conn.execute(query):
        found.setdefault(currency, {})[account] = amount
    return found


async def list_entries(
    uow: UnitOfWork, policy_id: str, *, limit: int = 100, offset: int = 0
) -> tuple[list[Entry], int]:
    """Return entries of a policy with their postings, latest first, and how many there are."""
    ours = ledger_entries.c.policy_id == policy_id
    total = await uow.conn.scalar(select(func.count()).select_from(ledger_entries).where(ours))
    page = select(ledger_entries).where(ours).order_by(ledger_entries.c.number.desc()).limit(limit).offset(offset)
    rows = (await uow.conn.execute(page)).all()
    lines = await _postings(uow, [row.entry_id for row in rows])
    return [_entry(row, lines[row.entry_id]) for row in rows], int(total or 0)


async def replace_rates(uow: UnitOfWork, policy_id: str, period: Term, rates: Sequence[MileRate]) -> None:
    """Store what a mile costs in a term."""
    rate = ledger_rates.c
    within = (rate.policy_id == policy_id, rate.from_on >= period.starts_on, rate.from_on < period.ends_on)
    await uow.conn.execute(delete(ledger_rates).where(*within))
    if rates:
        rows = [{"policy_id": policy_id, **msgspec.structs.asdict(one)} for one in rates]
        await uow.conn.execute(insert(ledger_rates).values(rows))


async def rates_of(uow: UnitOfWork, policy_ids: Sequence[str]) -> dict[str, list[MileRate]]:
    """Return what a mile costs, by policy in order of days; no entry for policies that don't charge miles."""
    query = (
        select(ledger_rates)
        .where(ledger_rates.c.policy_id.in_(policy_ids))
        .order_by(ledger_rates.c.policy_id, ledger_rates.c.from_on)
    )
    found: dict[str, list[MileRate]] = {}
    for row in await uow.conn.execute(query):
        found.setdefault(row.policy_id, []).append(MileRate(row.from_on, row.rate_per_mile, row.daily_cap_miles))
    return found


async def policies_after(uow: UnitOfWork, after: str, limit: int) -> list[str]:
    """Return the next policies that the ledger knows, in order."""
    query = select(_TERM.policy_id).where(_TERM.policy_id > after).distinct().order_by(_TERM.policy_id).limit(limit)
    return list((await uow.conn.execute(query)).scalars())


def pattern_of(segments: Iterable[Segment]) -> list[list[str]]:
    """Return segments as they are stored."""
    return [
        [part.from_on.isoformat(), part.to_on.isoformat(), str(part.annual_premium), str(part.flat)]
        for part in segments
    ]


def segments_of(pattern: Sequence[Sequence[str]]) -> tuple[Segment, ...]:
    """Return segments from how they are stored."""
    return tuple(
        Segment(date.fromisoformat(start), date.fromisoformat(end), Decimal(annual), Decimal(flat))
        for start, end, annual, flat in pattern
    )


async def _postings(uow: UnitOfWork, entry_ids: Sequence[UUID]) -> Mapping[UUID, list[tuple[str, Posting]]]:
    query = (
        select(ledger_postings)
        .where(ledger_postings.c.entry_id.in_(entry_ids))
        .order_by(ledger_postings.c.entry_id, ledger_postings.c.seq)
    )
    found: dict[UUID, list[tuple[str, Posting]]] = {entry_id: [] for entry_id in entry_ids}
    for row in await uow.conn.execute(query):
        found[row.entry_id].append((row.currency, Posting(Account(row.account), Side(row.side), row.amount)))
    return found


def _entry(row: Row[Any], lines: Sequence[tuple[str, Posting]]) -> Entry:
    return Entry(
        entry_id=row.entry_id,
        policy_id=row.policy_id,
        term=row.term,
        transaction_id=row.transaction_id,
        booked_on=row.booked_on,
        effective_on=row.effective_on,
        kind=EntryKind(row.kind),
        reason=row.reason,
        reference=row.reference,
        created_at=row.created_at,
        currency=lines[0][0],
        postings=tuple(posting for _, posting in lines),
        pattern=None if row.pattern is None else segments_of(row.pattern),
    )


def _term(row: Row[Any]) -> TermRow:
    position = Position(
        term=Term(row.starts_on, row.ends_on, row.months),
        segments=segments_of(row.segments),
        written=row.written,
        earned=row.earned,
        earned_to=row.earned_to,
    )
    return TermRow(
        policy_id=row.policy_id,
        term=row.term,
        driver_id=row.driver_id,
        currency=row.currency,
        position=position,
        billed=row.billed,
        instalments=row.instalments,
    )
