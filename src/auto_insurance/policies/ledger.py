"""The ledger: every amount of a policy, booked once, in double entry, never changed.

Each call works in the caller's transaction and is idempotent by what it books.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Protocol

import msgspec

from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.kernel.money import CENT
from auto_insurance.policies import postings, repository_ledger
from auto_insurance.policies.earning import Segment
from auto_insurance.policies.ledger_errors import InvalidAmount, LedgerMismatch, NoLedger
from auto_insurance.policies.postings import (
    ZERO,
    Account,
    Booking,
    EntryKind,
    InstalmentPlan,
    MileRate,
    Position,
    Posting,
)
from auto_insurance.policies.repository_ledger import Entry, TermRow

__all__ = ["Balance", "Booking", "InstalmentPlan", "Ledger", "MileRate"]
EARN_BATCH = 2000
"""Terms that are earned in one transaction."""


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts of a policy at the end of a day: debits less credits."""

    currency: str | None
    """None while nothing is booked."""
    accounts: Mapping[Account, Decimal]

    @property
    def owed(self) -> Decimal:
        """What the policyholder owes; negative: what they are owed."""
        return self.accounts[Account.RECEIVABLE]

    @property
    def earned(self) -> Decimal:
        """The earned premium, miles included."""
        return -self.accounts[Account.EARNED]

    @property
    def unearned(self) -> Decimal:
        """What is written and not earned yet."""
        return -self.accounts[Account.UNEARNED]


class Biller(Protocol):
    """Who turns what is booked into invoices."""

    async def hold(self, uow: UnitOfWork, policy_id: str, currency: str) -> None:
        """Let nobody else book for the policy until the transaction ends. Always the first lock that is taken."""
        ...

    async def rebill(self, uow: UnitOfWork, row: TermRow, on: date) -> None:
        """Bring the term's instalments in line with what is to be billed."""
        ...

    async def settle(self, uow: UnitOfWork, policy_id: str, amount: Decimal, currency: str) -> None:
        """Pay open invoices with an amount that came in, oldest first; negative: take it back."""
        ...


class Ledger:
    """Books what happens to a policy."""

    def __init__(self, biller: Biller, *, default_plan: InstalmentPlan = InstalmentPlan.MONTHLY) -> None:
        self._biller = biller
        self._default_plan = default_plan

    async def book(self, uow: UnitOfWork, booking: Booking) -> None:
        """Book a transaction of a policy and bill it; nothing if it is booked already.

        Raises ``LedgerMismatch`` if the change of the written premium is not what the segments say.
        """
        reference = f"transaction:{booking.transaction_id}"
        await self._biller.hold(uow, booking.policy_id, booking.currency)
        row = await self._row_for(uow, booking)
        if await repository_ledger.has_entry(uow, reference):
            return
        # A clock or time zone behind ours must not book before a day that is closed.
        booked_on = max(booking.booked_on, row.position.earned_to)
        position = await self._earn(uow, row, booked_on)
        try:
            lines, position = postings.book(position, booking)
        except ValueError as error:
            raise LedgerMismatch(f"{booking.policy_id}, term {booking.term}: {error}") from error
        billed = row.billed + booking.written + booking.fees + booking.taxes
        row = msgspec.structs.replace(
            row, position=position, billed=billed, driver_id=booking.driver_id or row.driver_id
        )
        if booking.instalments is not None:
            row = msgspec.structs.replace(row, instalments=booking.instalments.value)
        await repository_ledger.put_term(uow, row)
        await repository_ledger.replace_rates(uow, booking.policy_id, booking.period, booking.per_mile)
        entry = new_entry(
            row,
            EntryKind.BOOKING,
            lines,
            reference,
            f"{booking.kind}: {booking.reason}",
            booked_on,
            effective_on=booking.effective_on,
            transaction_id=booking.transaction_id,
            pattern=booking.segments,
        )
        # A change that costs nothing has no postings, and an entry must have some.
        if lines:
            await repository_ledger.add_entry(uow, entry)
        await self._biller.rebill(uow, row, booked_on)

    async def credit(self, uow: UnitOfWork, policy_id: str, amount: Decimal, *, reason: str, reference: str) -> None:
        """Give the policyholder a credit, once per reference. Raises ``NoLedger`` and ``InvalidAmount``."""
        await self.enter(uow, policy_id, EntryKind.CREDIT, amount, reason=reason, reference=f"credit:{reference}")

    async def enter(
        self, uow: UnitOfWork, policy_id: str, kind: EntryKind, amount: Decimal, *, reason: str, reference: str
    ) -> bool:
        """Book a payment, refund, credit, write-off, fee or charge for miles; False if it is booked already.

        A charge for miles may be negative: a correction. What comes in pays open invoices, oldest first. Raises
        ``NoLedger`` for a policy that has none, ``InvalidAmount``.
        """
        if amount == 0 or amount != amount.quantize(CENT) or (amount < 0 and kind is not EntryKind.USAGE):
            raise InvalidAmount(f"{amount} is not an amount of whole cents above 0.")
        today = clock.now().date()
        row = await repository_ledger.latest_term(uow, policy_id, today)
        if row is None:
            raise NoLedger(f"Nothing is booked for policy {policy_id}.")
        await self._biller.hold(uow, policy_id, row.currency)
        lines = _LINES[kind](amount)
        if not await repository_ledger.add_entry(uow, new_entry(row, kind, lines, reference, reason, today)):
            return False
        paid = -sum((line.signed for line in lines if line.account is Account.RECEIVABLE), ZERO)
        if kind in _SETTLING:
            await self._biller.settle(uow, policy_id, paid, row.currency)
        return True

    async def earn(self, uow: UnitOfWork, on: date, *, limit: int = EARN_BATCH) -> int:
        """Earn what is not earned yet up to the beginning of a day, of ``limit`` terms at most. Returns of how many."""
        return await repository_ledger.earn_due(uow, on, clock.now(), limit)

    async def balance(self, uow: UnitOfWork, policy_id: str, on: date | None = None) -> Balance:
        """Return the accounts of a policy at the end of a day, today by default; all 0 if nothing is booked."""
        found = await repository_ledger.sums(uow, policy_id, on or clock.now().date())
        if len(found) > 1:
            raise LedgerMismatch(f"{policy_id} has amounts in {', '.join(sorted(found))}")
        currency, accounts = next(iter(found.items()), (None, {}))
        return Balance(currency=currency, accounts={name: accounts.get(name, ZERO) for name in Account})

    async def earned_on(self, uow: UnitOfWork, policy_id: str, on: date) -> Decimal:
        """Return the premium earned when a day begins, as the ledger knew it on that day."""
        return (await self.balance(uow, policy_id, on)).earned

    async def entries(
        self, uow: UnitOfWork, policy_id: str, *, limit: int = 100, offset: int = 0
    ) -> tuple[list[Entry], int]:
        """Return entries of a policy, latest first, and how many there are."""
        return await repository_ledger.list_entries(uow, policy_id, limit=limit, offset=offset)

    async def _row_for(self, uow: UnitOfWork, booking: Booking) -> TermRow:
        row = await repository_ledger.get_term(uow, booking.policy_id, booking.term, lock=True)
        if row is not None:
            return row
        before = await repository_ledger.get_term(uow, booking.policy_id, booking.term - 1)
        plan = booking.instalments or (self._default_plan if before is None else InstalmentPlan(before.instalments))
        return TermRow(
            policy_id=booking.policy_id,
            term=booking.term,
            driver_id=booking.driver_id or (None if before is None else before.driver_id),
            currency=booking.currency,
            position=Position(term=booking.period, earned_to=booking.booked_on),
            billed=ZERO,
            instalments=plan.value,
        )

    async def _earn(self, uow: UnitOfWork, row: TermRow, on: date) -> Position:
        lines, position = postings.earn(row.position, on)
        if lines:
            reference = f"earn:{row.policy_id}:{row.term}:{on}"
            entry = new_entry(row, EntryKind.EARNING, lines, reference, "earned by time", on)
            await repository_ledger.add_entry(uow, entry)
        return position


_LINES = {
    EntryKind.USAGE: postings.usage,
    EntryKind.FEE: postings.fee,
    EntryKind.PAYMENT: postings.payment,
    EntryKind.REFUND: lambda amount: postings.payment(-amount),
    EntryKind.CREDIT: postings.credit,
    EntryKind.WRITE_OFF: postings.write_off,
}
_SETTLING = {EntryKind.PAYMENT, EntryKind.REFUND, EntryKind.CREDIT, EntryKind.WRITE_OFF}


async def earn_until(database: Database, ledger: Ledger, today: date) -> int:
    """Earn every day up to ``today`` that has not been earned, in small transactions. Returns terms times days.

    After an outage the days that were missed are earned one by one, so that the ledger tells of each of them. It may
    be cut off anywhere and taken up again.
    """
    done = 0
    async with database.read() as uow:
        oldest = await repository_ledger.oldest_unearned(uow, today)
    if oldest is None:
        return done
    for number in range(oldest.toordinal() + 1, today.toordinal() + 1):
        while True:
            async with database.begin() as uow:
                moved = await ledger.earn(uow, date.fromordinal(number))
            done += moved
            if moved < EARN_BATCH:
                break
    return done


def new_entry(
    row: TermRow,
    kind: EntryKind,
    lines: tuple[Posting, ...],
    reference: str,
    reason: str,
    booked_on: date,
    *,
    effective_on: date | None = None,
    transaction_id: str | None = None,
    pattern: tuple[Segment, ...] | None = None,
) -> Entry:
    """Return an entry of a term that is not stored yet."""
    return Entry(
        entry_id=ids.new_uuid(),
        policy_id=row.policy_id,
        term=row.term,
        transaction_id=transaction_id,
        booked_on=booked_on,
        effective_on=effective_on or booked_on,
        kind=kind,
        reason=reason,
        reference=reference,
        created_at=clock.now(),
        currency=row.currency,
        postings=lines,
        pattern=pattern,
    )
