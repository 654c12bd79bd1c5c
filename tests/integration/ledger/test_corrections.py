"""From a late trip to one entry of the ledger: trip, corrected price, policy, booking."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from auto_insurance.contracts import topics
from auto_insurance.contracts.pricing import PREMIUM_CORRECTED
from auto_insurance.contracts.trips import TRIP_COMPLETED
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import FrozenClock, use_clock
from auto_insurance.kernel.events import Envelope
from auto_insurance.kernel.outcome import Drop, Ok
from auto_insurance.policies.billing_handlers import corrections_subscription
from auto_insurance.policies.billing_parts import Money
from auto_insurance.policies.earning import earned
from auto_insurance.policies.ledger_verify import verify
from auto_insurance.policies.postings import Account, EntryKind
from auto_insurance.policies.records import Policy
from auto_insurance.policies.service import BindOrder, PolicyService
from auto_insurance.pricing.corrections import Corrections
from auto_insurance.pricing.handlers import corrections_subscription as pricing_corrections
from auto_insurance.pricing.service import QuoteRequest
from auto_insurance.pricing.service_rater import OnePlan
from auto_insurance.trips.service import TripService
from tests.support.policies import STAFF
from tests.support.scoring import (
    TODAY,
    World,
    add_driver,
    add_trip,
    deliver,
    make_world,
    published,
    trip_event,
)


class Insurer:
    """Prices, policies and the ledger over real tables."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.world: World = make_world(db)
        self.money = Money(TripService())
        self.policies = PolicyService(self.world.pricing, self.world.drivers, self.money.ledger)

    async def bound(self) -> Policy:
        """Bind a policy of a calm driver at the price of the driving so far."""
        async with self.db.begin() as uow:
            await add_driver(uow, "DRV001")
            for days in (50, 30):
                start = TODAY - timedelta(days=days)
                await add_trip(uow, "DRV001", start, distance_miles=700.0, harsh_braking_count=20)
            await self.world.risk.score_driver(uow, "DRV001", "test")
            quote = await self.world.pricing.quote(uow, QuoteRequest(), driver_id="DRV001")
            return await self.policies.bind(uow, quote.quote_id, BindOrder(), STAFF)

    async def late_trip(self) -> Envelope:
        """Store a wild trip of before the bind, and return the event of it."""
        start = TODAY - timedelta(days=20)
        async with self.db.begin() as uow:
            trip_id = await add_trip(uow, "DRV001", start, distance_miles=300.0, harsh_braking_count=300)
        told = trip_event(TRIP_COMPLETED, trip_id, "DRV001")
        return replace(told, id=ids.new_uuid(), data={**told.data, "start_time": start.isoformat()})

    async def corrected(self) -> list[Envelope]:
        """Return what pricing has told of corrections."""
        return [one for one in await published(self.db, topics.PREMIUMS) if one.type == PREMIUM_CORRECTED]


@pytest.fixture
async def insurer(db: Database) -> Insurer:
    return Insurer(db)


async def test_a_late_trip_ends_as_one_entry(insurer: Insurer) -> None:
    clock = FrozenClock(TODAY)
    with use_clock(clock):
        policy = await insurer.bound()
        clock.advance(timedelta(days=15))
        late = await insurer.late_trip()
        corrections = Corrections(OnePlan(None), TripService(), insurer.world.risk)
        assert await deliver(insurer.db, pricing_corrections(corrections), [late]) == [Ok(None)]
        told = await insurer.corrected()
        assert len(told) == 1
        booking = corrections_subscription(insurer.policies)
        assert await deliver(insurer.db, booking, told) == [Ok(None)]
        assert await deliver(insurer.db, booking, told) == [Drop()]
        async with insurer.db.begin() as uow:
            snapshot = await insurer.policies.snapshot(uow, await insurer.policies.get(uow, policy.policy_id))
            entries, _ = await insurer.money.ledger.entries(uow, policy.policy_id)
            balance = await insurer.money.ledger.balance(uow, policy.policy_id)
    before, after = (Decimal(told[0].data[name]) for name in ("annual_premium_before", "annual_premium"))
    assert after > before
    bookings = [entry for entry in entries if entry.kind is EntryKind.BOOKING]
    assert [entry.reason for entry in bookings] == ["endorsed: correction: trip.completed", bookings[1].reason]
    correction = bookings[0]
    sums = {account: Decimal(0) for account in Account}
    for line in correction.postings:
        sums[line.account] += line.signed
    assert -(sums[Account.UNEARNED] + sums[Account.EARNED]) == after - before
    segments = tuple(one.segment for one in snapshot.stretches)
    assert [one.annual_premium for one in segments] == [after]
    assert balance.earned == earned(segments, snapshot.row.period, correction.booked_on)
    assert (await verify(insurer.db)).faults == ()


async def test_a_price_that_nothing_rests_on_changes_nothing(insurer: Insurer) -> None:
    clock = FrozenClock(TODAY)
    with use_clock(clock):
        await insurer.bound()
        clock.advance(timedelta(days=15))
        corrections = Corrections(OnePlan(None), TripService(), insurer.world.risk)
        await deliver(insurer.db, pricing_corrections(corrections), [await insurer.late_trip()])
        [told] = await insurer.corrected()
        subscription = corrections_subscription(insurer.policies)
        await deliver(insurer.db, subscription, [told])
        changes: tuple[dict[str, str | None], ...] = (
            {"policy_id": None},
            {"policy_id": "POL-999999"},
            {"effective_date": "2031-01-01"},
            {},
        )
        for change in changes:
            again = replace(told, id=ids.new_uuid(), data={**told.data, **change})
            assert await deliver(insurer.db, subscription, [again]) == [Ok(None)]
        async with insurer.db.read() as uow:
            entries, _ = await insurer.money.ledger.entries(uow, "POL-000001")
    assert sum(entry.kind is EntryKind.BOOKING for entry in entries) == 2
