from __future__ import annotations

import asyncio
import random
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.policies.earning import earned, written
from auto_insurance.policies.ledger import Booking, earn_until
from auto_insurance.policies.ledger_errors import InvalidAmount, LedgerMismatch, NoLedger
from auto_insurance.policies.postings import ZERO, Account, EntryKind
from tests.support.ledger import START, Books, Policy


def day(number: int) -> date:
    """Return a day counted from 1 January 2026."""
    return START + timedelta(days=number)


async def test_the_ledger_is_the_earned_premium_on_any_day(books: Books) -> None:
    """Random endorsements, cancellations and reinstatements of several policies, earned day by day in one statement."""
    chance = random.Random(7)
    policies = [Policy(f"POL-{n}", day(chance.randint(0, 40)), chance.choice([6, 12])) for n in range(6)]
    for policy in policies:
        await books.book(policy.bind(f"{chance.randint(30_000, 300_000) / 100:.2f}", day(0)))
    for number in range(0, 420, 7):
        today = day(number)
        for policy in policies:
            if chance.random() < 0.12:
                await books.book(_random_change(policy, today, chance))
        await books.earn(today)
        for policy in policies:
            balance = await books.balance(policy.policy_id, today)
            assert balance.earned == earned(policy.segments, policy.term, today), (policy.policy_id, today)
            assert balance.unearned == written(policy.segments, policy.term) - balance.earned
            assert sum(balance.accounts.values()) == 0
    for policy in policies:
        assert (await books.balance(policy.policy_id)).unearned == 0


def _random_change(policy: Policy, today: date, chance: random.Random) -> Booking:
    term = policy.term
    cuts = sorted({0, term.days} | {chance.randint(1, term.days - 1) for _ in range(chance.randint(0, 3))})
    edges = [term.starts_on + timedelta(days=cut) for cut in cuts]
    parts = [
        (start, end, f"{chance.randint(10_000, 300_000) / 100:.2f}")
        for start, end in pairwise(edges)
        if chance.random() < 0.8
    ]
    last = parts or [(term.starts_on, term.starts_on, "0")]
    return policy.change(today, *last, flat=chance.choice(["0", "25.00"]))


async def test_missed_days_are_earned_one_by_one(books: Books) -> None:
    policy = Policy()
    await books.book(policy.bind("365.00"))
    assert await earn_until(books.db, books.ledger, day(5)) == 5
    assert await earn_until(books.db, books.ledger, day(5)) == 0
    for number in range(6):
        assert (await books.balance(on=day(number))).earned == number
    async with books.db.read() as uow:
        assert await books.ledger.earned_on(uow, "POL-1", day(3)) == 3


async def test_two_schedulers_earn_once(books: Books) -> None:
    for number in range(20):
        await books.book(Policy(f"POL-{number}").bind("365.00"))
    await asyncio.gather(*(earn_until(books.db, books.ledger, day(3)) for _ in range(3)))
    for number in range(20):
        assert (await books.balance(f"POL-{number}")).earned == 3


async def test_a_booking_is_booked_once(books: Books) -> None:
    booking = Policy().bind(fees="10.00", taxes="24.00")
    await books.book(booking)
    await books.book(booking)
    balance = await books.balance()
    assert balance.owed == Decimal("1234.00")
    assert balance.accounts[Account.TAXES] == Decimal("-24.00")
    assert balance.accounts[Account.FEES] == Decimal("-10.00")
    assert balance.unearned == 1200
    assert balance.currency == "USD"


async def test_an_endorsement_in_the_past_is_one_entry(books: Books) -> None:
    policy = Policy()
    await books.book(policy.bind("365.00"))
    await books.earn(day(100))
    await books.book(policy.change(day(100), (START, day(60), "365.00"), (day(60), policy.term.ends_on, "730.00")))
    assert (await books.balance(on=day(99))).earned == 0, "of days before, the ledger says what was booked then"
    assert (await books.balance(on=day(100))).earned == 140
    async with books.db.read() as uow:
        entries, total = await books.ledger.entries(uow, "POL-1")
    assert total == 3
    latest = entries[0]
    assert latest.kind is EntryKind.BOOKING
    assert latest.effective_on == day(60)
    assert latest.pattern == policy.segments
    moved = {line.account: line.signed for line in latest.postings if line.account is Account.EARNED}
    assert moved == {Account.EARNED: Decimal("-40.00")}


async def test_a_change_that_costs_nothing_has_no_entry(books: Books) -> None:
    policy = Policy()
    await books.book(policy.bind("365.00"))
    await books.book(policy.change(day(3), (START, day(9), "365.00"), (day(9), policy.term.ends_on, "365.00")))
    async with books.db.read() as uow:
        entries, _ = await books.ledger.entries(uow, "POL-1")
    assert [entry.kind for entry in entries] == [EntryKind.EARNING, EntryKind.BOOKING]


async def test_a_booking_must_fit_its_segments(books: Books) -> None:
    wrong = Policy().bind()
    with pytest.raises(LedgerMismatch, match="the segments make"):
        await books.book(replace(wrong, written=ZERO))


async def test_a_clock_behind_does_not_open_a_day_again(books: Books) -> None:
    policy = Policy()
    await books.book(policy.bind("365.00"))
    await books.earn(day(10))
    await books.book(policy.change(day(9), (START, day(5), "365.00")))
    assert (await books.balance(on=day(9))).earned == 0
    assert (await books.balance(on=day(10))).earned == 5


async def test_credits_lower_what_is_owed_once(books: Books) -> None:
    await books.book(Policy().bind())
    for _ in range(2):
        async with books.db.begin() as uow:
            await books.ledger.credit(uow, "POL-1", Decimal("20.00"), reason="reward", reference="redeem:1")
    balance = await books.balance()
    assert balance.owed == Decimal("1180.00")
    assert balance.accounts[Account.CREDITS] == Decimal("20.00")


@pytest.mark.parametrize("amount", ["0", "-1.00", "0.001"])
async def test_amounts_are_positive_and_in_cents(books: Books, amount: str) -> None:
    await books.book(Policy().bind())
    with pytest.raises(InvalidAmount):
        async with books.db.begin() as uow:
            await books.ledger.credit(uow, "POL-1", Decimal(amount), reason="x", reference="x")


async def test_without_a_ledger(books: Books) -> None:
    with pytest.raises(NoLedger):
        async with books.db.begin() as uow:
            await books.ledger.credit(uow, "POL-9", Decimal(1), reason="x", reference="x")
    balance = await books.balance("POL-9")
    assert (balance.currency, balance.owed, balance.earned) == (None, ZERO, ZERO)


async def test_a_renewal_is_a_term_of_its_own(books: Books, frozen: FrozenClock) -> None:
    await books.book(Policy().bind("365.00"))
    second = Policy(starts_on=date(2027, 1, 1)).bind("730.00", booked_on=day(340))
    await books.book(replace(second, term=2))
    await books.earn(day(366))
    assert (await books.balance()).earned == 365 + 2
    async with books.db.begin() as uow:
        await books.ledger.credit(uow, "POL-1", Decimal(1), reason="x", reference="x")
        entries, _ = await books.ledger.entries(uow, "POL-1")
    assert entries[-1].term == 1
    assert next(entry for entry in entries if entry.kind is EntryKind.CREDIT).term == 1


UNBALANCED = """
WITH new AS (
    INSERT INTO ledger_entries (entry_id, policy_id, term, booked_on, effective_on, kind, reason, reference, created_at)
    VALUES (gen_random_uuid(), 'P', 1, now(), now(), 'fee', 'x', 'x', now()) RETURNING entry_id
)
INSERT INTO ledger_postings SELECT entry_id, seq, account, side, amount, currency FROM new,
(VALUES (1, 'cash', 'debit', {debit}, 'USD'), (2, 'fees', 'credit', {credit}, '{currency}'))
    AS line (seq, account, side, amount, currency)
"""


@pytest.mark.parametrize(
    ("sql", "match"),
    [
        (UNBALANCED.format(debit=1, credit=2, currency="USD"), "does not balance"),
        (UNBALANCED.format(debit=1, credit=1, currency="EUR"), "does not balance"),
        (UNBALANCED.format(debit=0, credit=0, currency="USD"), "ck_ledger_postings_amount"),
        ("INSERT INTO ledger_postings SELECT entry_id, 9, 'cash', 'debit', 1, 'USD' FROM ledger_entries", "balance"),
        (
            "INSERT INTO ledger_entries "
            "(entry_id, policy_id, term, booked_on, effective_on, kind, reason, reference, created_at) "
            "SELECT gen_random_uuid(), policy_id, term, booked_on, effective_on, kind, reason, 'new', created_at "
            "FROM ledger_entries",
            "has no postings",
        ),
        ("UPDATE ledger_postings SET amount = amount + 1", "append-only"),
        ("UPDATE ledger_entries SET reason = ''", "append-only"),
        ("DELETE FROM ledger_postings", "append-only"),
        ("DELETE FROM ledger_entries", "append-only"),
        ("TRUNCATE ledger_entries CASCADE", "append-only"),
    ],
)
async def test_the_database_refuses(books: Books, sql: str, match: str) -> None:
    await books.book(Policy().bind("365.00"))
    before = await books.balance()
    with pytest.raises(DBAPIError, match=match):
        await books.execute(sql)
    assert (await books.balance()) == before


async def test_a_balanced_entry_is_taken(books: Books) -> None:
    await books.execute(UNBALANCED.format(debit=1, credit=1, currency="USD"))
    assert (await books.balance("P")).accounts[Account.CASH] == 1


async def test_the_sql_of_earning_rounds_as_the_pure_function(db: Database, books: Books) -> None:
    """Where a share is half a cent exactly, and prices with all cents."""
    chance = random.Random(3)
    policies = [Policy(f"POL-{n}", day(n % 50), chance.choice([6, 12])) for n in range(60)]
    for number, policy in enumerate(policies):
        await books.book(policy.bind(f"{(number * 1825 + 5) / 100:.2f}"))
    for number in (1, 50, 73, 146, 180, 219, 365):
        await books.earn(day(number))
        async with db.read() as uow:
            rows = await uow.conn.execute(text("SELECT policy_id, earned FROM ledger_terms"))
            found = {row.policy_id: row.earned for row in rows}
        for policy in policies:
            assert found[policy.policy_id] == earned(policy.segments, policy.term, day(number))
