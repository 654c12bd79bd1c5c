"""Monthly statements of miles: what was driven on each day, what it costs, and what corrects earlier months.

A statement is made some days after the month's end, when late trips have mostly arrived, and is final. What arrives
later, or is disputed, becomes lines of the next statement: one entry of the ledger for all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec
import structlog

from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.policies import repository_ledger
from auto_insurance.policies import repository_statements as repository
from auto_insurance.policies.invoices import Invoices
from auto_insurance.policies.ledger import Ledger
from auto_insurance.policies.postings import ZERO, EntryKind, MileRate
from auto_insurance.policies.repository_ledger import TermRow
from auto_insurance.policies.repository_statements import Statement
from auto_insurance.policies.statements_miles import (
    CorrectionLine,
    DayLine,
    correction,
    day_line,
    miles_of,
    month_lines,
    month_of,
    next_month,
)
from auto_insurance.trips.schemas import TripFacts, TripFilter

log = structlog.get_logger(__name__)
BATCH = 100
"""Policies that are looked for at once."""
TRIP_PAGE = 5000
MISSED_DAYS = 400
"""How far back missing statements are looked for."""
_DAY = timedelta(days=1)


class TripReader(Protocol):
    """What statements need of the trips service."""

    async def list_trips(
        self, uow: UnitOfWork, driver_ids: Sequence[str] | None, filters: TripFilter, page: int, page_size: int
    ) -> tuple[list[TripFacts], int]: ...


class Statements:
    """Makes statements; the only writer of their table."""

    def __init__(self, ledger: Ledger, invoices: Invoices, trips: TripReader) -> None:
        self._ledger = ledger
        self._invoices = invoices
        self._trips = trips

    async def make(self, uow: UnitOfWork, policy_id: str, driver_id: str, month: date) -> Statement | None:
        """Make the statement of a month, book and invoice it. None if there is one already or nothing to charge by."""
        terms = await repository_ledger.terms_of(uow, policy_id)
        rates = (await repository_ledger.rates_of(uow, [policy_id])).get(policy_id)
        row = await repository_ledger.latest_term(uow, policy_id, next_month(month) - _DAY)
        if row is None or rates is None:
            return None
        await self._invoices.hold(uow, policy_id, row.currency)
        # First: whatever is noted by now was stored before, and is seen by the reads below.
        noted = await repository.take_changes(uow, policy_id, next_month(month))
        earlier = {day: reason for day, reason in noted if day < month}
        miles = await self._miles(uow, driver_id, month, next_month(month))
        lines = month_lines(month, miles, rates, {day: _covered(terms, day) for day in miles})
        corrections = await self._corrections(uow, policy_id, driver_id, earlier, rates, terms)
        statement = _statement(row, driver_id, month, lines, corrections)
        if not await repository.add_statement(uow, statement):
            return None
        await self._book(uow, row, statement)
        return statement

    async def listed(self, uow: UnitOfWork, policy_id: str, *, limit: int, offset: int) -> tuple[list[Statement], int]:
        """Return statements of a policy, the latest month first, and how many there are."""
        return await repository.list_statements(uow, policy_id, limit=limit, offset=offset)

    async def trip_changed(self, uow: UnitOfWork, driver_id: str, start: datetime, reason: str) -> int:
        """Note that a trip came late, changed or counts no longer; matters for months that are over. Returns how many.

        The local day is not known here: the next statement looks at the days around, and finds what differs.
        """
        day = start.astimezone(UTC).date()
        over = month_of(clock.now().date())
        days = [one for one in (day - _DAY, day, day + _DAY) if one < over]
        return await repository.note_changes(uow, driver_id, days, reason, clock.now())

    async def _corrections(
        self,
        uow: UnitOfWork,
        policy_id: str,
        driver_id: str,
        noted: Mapping[date, str],
        rates: Sequence[MileRate],
        terms: Sequence[TermRow],
    ) -> tuple[CorrectionLine, ...]:
        if not noted:
            return ()
        earlier, _ = await repository.list_statements(uow, policy_id, limit=1000)
        stated_months = {statement.month for statement in earlier}
        miles = await self._miles(uow, driver_id, min(noted), max(noted) + _DAY)
        found = []
        for day, reason in noted.items():
            if month_of(day) not in stated_months:
                continue
            now = day_line(day, miles.get(day, ZERO), rates, covered=_covered(terms, day))
            line = correction(stated(earlier, day), now, reason)
            if line is not None:
                found.append(line)
        return tuple(found)

    async def _miles(self, uow: UnitOfWork, driver_id: str, start: date, end: date) -> dict[date, Decimal]:
        """Return the miles of each local day in [start, end) with a trip."""
        filters = TripFilter(since=_midnight(start) - _DAY, until=_midnight(end) + _DAY)
        distances: dict[date, list[float]] = defaultdict(list)
        page, seen, total = 1, 0, 1
        while seen < total:
            trips, total = await self._trips.list_trips(uow, [driver_id], filters, page, TRIP_PAGE)
            for trip in trips:
                day = trip.start_time.astimezone(ZoneInfo(trip.time_zone)).date()
                if start <= day < end:
                    distances[day].append(trip.distance_miles)
            page, seen = page + 1, seen + len(trips)
            if not trips:
                break
        return {day: miles_of(sorted(found)) for day, found in distances.items()}

    async def _book(self, uow: UnitOfWork, row: TermRow, statement: Statement) -> None:
        month = f"{statement.month:%Y-%m}"
        corrected = sum((line.amount for line in statement.corrections), ZERO)
        for amount, kind, reason in (
            (statement.amount - corrected, "statement", f"miles of {month}"),
            (corrected, "correction", _reason(statement)),
        ):
            if amount:
                reference = f"{kind}:{statement.policy_id}:{month}"
                policy_id = statement.policy_id
                await self._ledger.enter(uow, policy_id, EntryKind.USAGE, amount, reason=reason, reference=reference)
        if statement.amount:
            lines: tuple[tuple[str, str], ...] = ((f"miles of {month}", str(statement.amount - corrected)),)
            if corrected:
                lines = (*lines, ("corrections of earlier months", str(corrected)))
            today = clock.now().date()
            await self._invoices.issue(uow, row, "usage", statement.amount, lines, today, today)


def stated(statements: Sequence[Statement], day: date) -> DayLine:
    """Return what has been charged for a day so far: its own statement and all corrections since."""
    line = DayLine(day, ZERO, ZERO, ZERO, ZERO)
    for statement in sorted(statements, key=lambda one: one.month):
        line = next((one for one in statement.days if one.on == day), line)
        for change in statement.corrections:
            if change.on == day:
                line = msgspec.structs.replace(line, miles=change.miles_now, amount=line.amount + change.amount)
    return line


async def state_month(database: Database, statements: Statements, month: date) -> int:
    """Make all statements of a month that are missing, each in a transaction of its own. Returns how many."""
    after, done = "", 0
    while True:
        async with database.read() as uow:
            found = await repository.without_statement(uow, month, next_month(month), after, BATCH)
        for policy_id, driver_id in found:
            async with database.begin() as uow:
                done += await statements.make(uow, policy_id, driver_id, month) is not None
        if len(found) < BATCH:
            return done
        after = found[-1][0]


async def state_until(database: Database, statements: Statements, today: date, settle_days: int) -> int:
    """Make the missing statements of all months that have been over for ``settle_days``. Returns how many."""
    async with database.read() as uow:
        first = await repository.first_rate(uow)
    done = 0
    month = month_of(today if first is None else max(first, today - timedelta(days=MISSED_DAYS)))
    while next_month(month) + timedelta(days=settle_days) <= today:
        done += await state_month(database, statements, month)
        month = next_month(month)
    if done:
        log.info("statements_made", statements=done)
    return done


def _statement(
    row: TermRow,
    driver_id: str,
    month: date,
    days: tuple[DayLine, ...],
    corrections: tuple[CorrectionLine, ...],
) -> Statement:
    return Statement(
        statement_id=ids.new_uuid(),
        policy_id=row.policy_id,
        driver_id=driver_id,
        month=month,
        currency=row.currency,
        miles=sum((line.miles for line in days), ZERO),
        charged_miles=sum((line.charged_miles for line in days), ZERO),
        amount=sum((line.amount for line in days), ZERO) + sum((line.amount for line in corrections), ZERO),
        days=days,
        corrections=corrections,
        created_at=clock.now(),
    )


def _reason(statement: Statement) -> str:
    reasons = sorted({line.reason for line in statement.corrections})
    return f"correction of earlier miles: {', '.join(reasons)}"


def _covered(terms: Sequence[TermRow], day: date) -> bool:
    return any(part.from_on <= day < part.to_on for row in terms for part in row.position.segments)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
