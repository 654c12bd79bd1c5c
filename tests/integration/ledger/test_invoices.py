from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal

import pytest

from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.policies import repository_billing
from auto_insurance.policies.invoices import InvoiceOptions, issue_until
from auto_insurance.policies.ledger import InstalmentPlan
from auto_insurance.policies.postings import ZERO, Account, EntryKind
from auto_insurance.policies.repository_billing import Invoice
from tests.support.ledger import START, Books, Policy

YEAR_END = date(2027, 1, 1)


async def listed(books: Books, policy_id: str = "POL-1") -> list[Invoice]:
    async with books.db.read() as uow:
        found, total = await books.invoices.listed(uow, policy_id, limit=100, offset=0)
    assert total == len(found)
    return found[::-1]


async def agree(books: Books, policy_id: str = "POL-1") -> None:
    """What is owed by the ledger is what is open and to come, less what waits."""
    balance = await books.balance(policy_id)
    async with books.db.read() as uow:
        due = await books.invoices.due(uow, policy_id)
        coming = await repository_billing.to_come(uow, policy_id)
        waiting = await repository_billing.unapplied_of(uow, policy_id)
    assert balance.owed == due + coming - waiting


async def enter(books: Books, kind: EntryKind, amount: str, reference: str = "r") -> None:
    async with books.db.begin() as uow:
        await books.ledger.enter(uow, "POL-1", kind, Decimal(amount), reason="test", reference=reference)


async def test_instalments_are_invoiced_ahead_and_add_up(books: Books) -> None:
    await books.book(Policy().bind("1000.00", fees="12.00", taxes="30.00"))
    first = await listed(books)
    assert [str(one.amount) for one in first] == ["86.87"], "1042.00 in 12 parts of 86.83, 4 cents more in the first"
    assert (first[0].issued_on, first[0].due_on) == (START, START + timedelta(days=14))
    assert await issue_until(books.db, books.invoices, date(2026, 1, 17), 14) == 0
    assert await issue_until(books.db, books.invoices, date(2026, 1, 18), 14) == 1
    assert [one.due_on for one in await listed(books)] == [START + timedelta(days=14), date(2026, 2, 1)]
    await issue_until(books.db, books.invoices, YEAR_END, 14)
    found = await listed(books)
    assert len(found) == 12
    assert sum(one.amount for one in found) == Decimal("1042.00")
    assert found[4].lines == (("instalment 5 of 12", "86.83"),)
    await agree(books)


@pytest.mark.parametrize(("plan", "count"), [(InstalmentPlan.ANNUAL, 1), (InstalmentPlan.QUARTERLY, 4)])
async def test_the_fee_is_for_paying_in_parts(
    db: Database, frozen: FrozenClock, plan: InstalmentPlan, count: int
) -> None:
    books = Books(db, InvoiceOptions(instalment_fee=Decimal("2.50")))
    await books.book(Policy().bind("1000.00", plan=plan))
    await issue_until(db, books.invoices, YEAR_END, 14)
    fees = Decimal("2.50") * (count if count > 1 else 0)
    assert sum(one.amount for one in await listed(books)) == 1000 + fees
    assert (await books.balance()).accounts[Account.FEES] == -fees
    await agree(books)


async def test_an_endorsement_falls_on_the_instalments_to_come(books: Books) -> None:
    policy = Policy()
    await books.book(policy.bind("1200.00"))
    await issue_until(books.db, books.invoices, date(2026, 6, 17), 14)
    assert len(await listed(books)) == 7, "the one of 1 July is written 14 days before"
    july = date(2026, 7, 2)
    await books.book(policy.change(july, (START, july, "1200.00"), (july, policy.term.ends_on, "1920.00")))
    async with books.db.read() as uow:
        coming = [part.amount for part in await repository_billing.instalments_of(uow, "POL-1", 1)]
    assert coming[:7] == [Decimal("100.00")] * 7
    assert sum(coming) == Decimal("1200.00") + policy_delta(policy)
    assert max(coming[7:]) - min(coming[7:]) < Decimal("0.06")
    await agree(books)


def policy_delta(policy: Policy) -> Decimal:
    """183 days at 720.00 more a year."""
    return (Decimal("720.00") * (policy.term.ends_on - date(2026, 7, 2)).days / 365).quantize(Decimal("0.01"))


async def test_a_lower_price_after_the_whole_is_paid_is_a_credit_note(books: Books) -> None:
    policy = Policy()
    await books.book(policy.bind("1200.00", plan=InstalmentPlan.ANNUAL))
    await enter(books, EntryKind.PAYMENT, "1200.00")
    await books.book(policy.change(START, (START, policy.term.ends_on, "1100.00")))
    note = (await listed(books))[-1]
    assert (note.kind, note.amount, note.open_amount) == ("adjustment", Decimal("-100.00"), ZERO)
    async with books.db.read() as uow:
        assert await repository_billing.unapplied_of(uow, "POL-1") == 100
    await books.book(policy.change(START, (START, policy.term.ends_on, "1250.00")))
    extra = (await listed(books))[-1]
    assert (extra.amount, extra.open_amount) == (Decimal("150.00"), Decimal("50.00")), "what waited has paid its part"
    await agree(books)


async def test_a_cancellation_takes_back_what_is_not_used(books: Books) -> None:
    policy = Policy()
    await books.book(policy.bind("1200.00"))
    await issue_until(books.db, books.invoices, date(2026, 4, 1), 14)
    await books.book(policy.change(date(2026, 4, 1), (START, date(2026, 4, 1), "1200.00"), kind="cancelled"))
    found = await listed(books)
    assert sum(one.amount for one in found) == Decimal("295.89"), "90 of 365 days"
    assert found[-1].amount < 0
    await issue_until(books.db, books.invoices, YEAR_END, 14)
    assert len(await listed(books)) == len(found), "nothing more comes"
    await agree(books)


async def test_what_is_owed_at_a_cancellation_is_invoiced(books: Books) -> None:
    policy = Policy()
    await books.book(policy.bind("1200.00"))
    await books.book(policy.change(date(2026, 1, 21), (START, date(2026, 1, 21), "1200.00"), flat="150.00"))
    found = await listed(books)
    assert [str(one.amount) for one in found] == ["100.00", "115.75"], "20 days are 65.75, and 150.00 are kept"
    await agree(books)


async def test_payments_pay_the_longest_due_and_the_rest_waits(books: Books) -> None:
    await books.book(Policy().bind("1200.00"))
    await issue_until(books.db, books.invoices, date(2026, 3, 1), 14)
    await enter(books, EntryKind.PAYMENT, "150.00")
    assert [str(one.open_amount) for one in await listed(books)] == ["0.00", "50.00", "100.00"]
    await enter(books, EntryKind.CREDIT, "200.00", "c")
    assert [str(one.open_amount) for one in await listed(books)] == ["0.00", "0.00", "0.00"]
    await issue_until(books.db, books.invoices, date(2026, 4, 1), 14)
    assert (await listed(books))[-1].open_amount == 50
    await agree(books)


async def test_another_plan_holds_for_what_is_not_invoiced(books: Books) -> None:
    policy = Policy()
    await books.book(policy.bind("1200.00"))
    whole = (START, policy.term.ends_on, "1200.00")
    await books.book(policy.change(START, whole, plan=InstalmentPlan.QUARTERLY))
    async with books.db.read() as uow:
        parts = await repository_billing.instalments_of(uow, "POL-1", 1)
    assert [part.due_on.month for part in parts] == [1, 4, 7, 10]
    assert [str(part.amount) for part in parts] == ["100.00", "366.68", "366.66", "366.66"]
    await agree(books)


async def test_two_issuers_write_each_invoice_once(books: Books) -> None:
    for number in range(8):
        await books.book(Policy(f"POL-{number}").bind())
    await asyncio.gather(*(issue_until(books.db, books.invoices, date(2026, 2, 1), 14) for _ in range(3)))
    for number in range(8):
        assert len(await listed(books, f"POL-{number}")) == 2


async def test_nothing_is_invoiced_for_an_unknown_term(books: Books) -> None:
    async with books.db.begin() as uow:
        await books.invoices.issue_due(uow, "POL-404", 1, START)
    assert await listed(books, "POL-404") == []
