"""Policies for tests of the ledger, without the policies around it."""

from __future__ import annotations

import itertools
from datetime import date
from decimal import Decimal

import msgspec
from sqlalchemy import text

from auto_insurance.infra.db.uow import Database
from auto_insurance.policies.earning import Segment, Term, new_term, written
from auto_insurance.policies.invoices import InvoiceOptions, Invoices
from auto_insurance.policies.ledger import Balance, Booking, InstalmentPlan, Ledger
from auto_insurance.policies.postings import ZERO, MileRate

_numbers = itertools.count(1)
START = date(2026, 1, 1)


class Books:
    """A ledger with its invoices over a database."""

    def __init__(self, db: Database, options: InvoiceOptions | None = None) -> None:
        self.db = db
        self.invoices = Invoices(options)
        self.ledger = Ledger(self.invoices)

    async def book(self, booking: Booking) -> None:
        async with self.db.begin() as uow:
            await self.ledger.book(uow, booking)

    async def earn(self, on: date) -> int:
        async with self.db.begin() as uow:
            return await self.ledger.earn(uow, on)

    async def balance(self, policy_id: str = "POL-1", on: date | None = None) -> Balance:
        async with self.db.read() as uow:
            return await self.ledger.balance(uow, policy_id, on or date(2099, 1, 1))

    async def execute(self, sql: str) -> None:
        async with self.db.begin() as uow:
            await uow.conn.execute(text(sql))


class Policy:
    """A term whose pattern changes; makes the bookings of its changes."""

    def __init__(self, policy_id: str = "POL-1", starts_on: date = START, months: int = 12) -> None:
        self.policy_id = policy_id
        self.term: Term = new_term(starts_on, months)
        self.segments: tuple[Segment, ...] = ()

    def change(
        self,
        booked_on: date,
        *segments: tuple[date, date, str],
        fees: str = "0",
        taxes: str = "0",
        flat: str = "0",
        kind: str = "endorsed",
        plan: InstalmentPlan | None = None,
        per_mile: tuple[MileRate, ...] = (),
    ) -> Booking:
        """Return the booking that makes ``segments`` the pattern; ``flat`` is kept in the last one."""
        new = tuple(Segment(start, end, Decimal(annual)) for start, end, annual in segments)
        if Decimal(flat):
            new = (*new[:-1], msgspec.structs.replace(new[-1], flat=Decimal(flat)))
        delta = written(new, self.term) - (written(self.segments, self.term) if self.segments else ZERO)
        self.segments = new
        return Booking(
            policy_id=self.policy_id,
            term=1,
            transaction_id=f"{self.policy_id}-{next(_numbers)}",
            kind=kind,
            booked_on=booked_on,
            effective_on=new[-1].from_on if new else booked_on,
            term_start=self.term.starts_on,
            term_end=self.term.ends_on,
            written=delta,
            fees=Decimal(fees),
            taxes=Decimal(taxes),
            segments=new,
            currency="USD",
            reason="test",
            driver_id="DRV001",
            instalments=plan,
            per_mile=per_mile,
        )

    def bind(
        self,
        annual: str = "1200.00",
        booked_on: date | None = None,
        *,
        fees: str = "0",
        taxes: str = "0",
        plan: InstalmentPlan | None = None,
        per_mile: tuple[MileRate, ...] = (),
    ) -> Booking:
        """Return the first booking: the whole term at one price."""
        whole = (self.term.starts_on, self.term.ends_on, annual)
        on = booked_on or self.term.starts_on
        return self.change(on, whole, fees=fees, taxes=taxes, kind="bound", plan=plan, per_mile=per_mile)
