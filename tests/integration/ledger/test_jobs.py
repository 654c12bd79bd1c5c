from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.kernel.errors import AppError, ErrorKind, Unavailable
from auto_insurance.policies.billing_jobs import BillingJobs
from auto_insurance.policies.billing_parts import Money
from auto_insurance.policies.ledger_verify import verify
from auto_insurance.policies.payments_service import Payments
from tests.integration.ledger.test_statements import Trips
from tests.support.ledger import START, Books, Policy


class Ended(AppError):
    kind = ErrorKind.CONFLICT
    code = "ended"


class Policies:
    """Notes what lapses."""

    def __init__(self) -> None:
        self.lapsed: list[tuple[str, date, str]] = []
        self.error: AppError | None = None

    async def lapse(self, uow: UnitOfWork, policy_id: str, on: date, reason: str) -> None:
        if self.error is not None:
            raise self.error
        self.lapsed.append((policy_id, on, reason))


class Office:
    def __init__(self, books: Books, frozen: FrozenClock) -> None:
        self.books, self.frozen, self.policies = books, frozen, Policies()
        self.money = Money(Trips())
        self.jobs: BillingJobs = self.money.jobs(books.db, self.policies)

    async def run(self, number: int) -> dict[str, int]:
        """Run the jobs of a day counted from 1 January."""
        today = START + timedelta(days=number)
        self.frozen.set(datetime.combine(today, time(6), UTC))
        return await self.jobs.run(today)


@pytest.fixture
def office(books: Books, frozen: FrozenClock) -> Office:
    return Office(books, frozen)


async def test_an_unpaid_invoice_ends_with_a_lapse(office: Office) -> None:
    await office.books.book(Policy().bind())
    moved = {number: done for number in range(46) if (done := (await office.run(number))["dunned"])}
    assert moved == {21: 1, 28: 1, 38: 1, 44: 1, 45: 1}, "due on 15 January; the second invoice on 1 February"
    assert office.policies.lapsed == [("POL-1", START + timedelta(days=44), "nonpayment")]
    assert (await verify(office.books.db)).faults == ()


async def test_what_is_paid_is_not_reminded_of(office: Office) -> None:
    await office.books.book(Policy().bind())
    await office.run(21)
    async with office.books.db.begin() as uow:
        await office.money.payments.pay(uow, "POL-1", "tok_visa", None, "k")
    assert [(await office.run(number))["dunned"] for number in (22, 28, 36)] == [0, 0, 0]


async def test_after_an_outage_everything_is_caught_up_and_nobody_hurried(office: Office) -> None:
    await office.books.book(Policy().bind("365.00"))
    done = await office.run(60)
    assert done["earned"] == 60
    assert done["invoiced"] == 1, "one term, three of its instalments"
    assert done["dunned"] == 1, "the first reminder comes first, of what was invoiced then"
    assert (await office.run(60)) == {"earned": 0, "stated": 0, "invoiced": 0, "dunned": 0, "refunded": 0}
    assert not office.policies.lapsed


async def test_a_policy_that_has_ended_has_nothing_to_lapse(office: Office) -> None:
    await office.books.book(Policy().bind())
    office.policies.error = Ended("ended")
    for number in (21, 28, 44):
        await office.run(number)
    assert (await office.run(46))["dunned"] == 0, "the lapse is noted, not tried for ever"


async def test_a_part_that_fails_does_not_stop_the_others(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.books.book(Policy().bind())

    async def away(self: Payments, uow: UnitOfWork, on: date, after: str = "") -> str | None:
        raise Unavailable("away")

    monkeypatch.setattr(Payments, "start_refunds", away)
    assert await office.run(1) == {"earned": 1, "stated": 0, "invoiced": 0, "dunned": 0}


async def test_other_errors_of_a_lapse_are_not_swallowed(office: Office) -> None:
    await office.books.book(Policy().bind())
    for number in (21, 28):
        await office.run(number)
    office.policies.error = Unavailable("away")
    assert "dunned" not in await office.run(44)
    office.policies.error = None
    assert (await office.run(44))["dunned"] == 1
    assert len(office.policies.lapsed) == 1


async def test_verification_names_what_is_wrong(office: Office) -> None:
    for number in range(3):
        await office.books.book(Policy(f"POL-{number}").bind())
    await office.run(10)
    seen: list[int] = []
    good = await verify(office.books.db, progress=seen.append)
    assert (good.policies, good.faults, seen) == (3, (), [3])
    await office.books.execute("UPDATE ledger_terms SET earned = earned + 1 WHERE policy_id = 'POL-1'")
    await office.books.execute("UPDATE invoices SET open_amount = open_amount - 1 WHERE policy_id = 'POL-2'")
    await office.books.execute("ALTER TABLE ledger_postings DISABLE TRIGGER USER")
    await office.books.execute(
        "UPDATE ledger_postings SET amount = amount + 1 WHERE seq = 1 AND entry_id IN "
        "(SELECT entry_id FROM ledger_entries WHERE policy_id = 'POL-0' AND kind = 'booking')"
    )
    faults = (await verify(office.books.db)).faults
    found = {(fault.policy_id, fault.what.split(":")[0].split(" transaction")[0]) for fault in faults}
    assert found == {
        ("POL-0", "entry"),
        ("POL-0", "owed"),
        ("POL-0", "all accounts together"),
        ("POL-1", "term 1"),
        ("POL-1", "earned by time"),
        ("POL-1", "unearned"),
        ("POL-2", "owed"),
    }
    assert (await verify(office.books.db, "POL-2")).policies == 1
