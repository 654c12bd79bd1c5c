from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import cast

import pytest
from sqlalchemy import select

from auto_insurance.contracts import topics
from auto_insurance.contracts.risk import RISK_SCORE_CALCULATED, RiskScoreCalculated
from auto_insurance.contracts.trips import TRIP_COMPLETED
from auto_insurance.drivers.errors import DriverNotFound
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock, ids
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.kernel.errors import Unavailable
from auto_insurance.kernel.events import Envelope, new_event
from auto_insurance.kernel.outcome import Drop, Ok
from auto_insurance.pricing.handlers import GROUP, subscription
from auto_insurance.pricing.models import premiums
from auto_insurance.pricing.rating import replay
from auto_insurance.pricing.schemas import PremiumKind
from auto_insurance.pricing.service import PricingService, Score
from auto_insurance.risk import handlers as risk_handlers
from tests.support.scoring import TODAY, World, add_driver, add_trip, deliver, published, trip_event


def _score(relativity: float, confidence: float = 0.5, model: str = "scorecard-1") -> Score:
    return Score(score_id=ids.new_uuid(), relativity=relativity, confidence=confidence, model_version=model)


def _event(driver_id: str, relativity: float) -> Envelope:
    payload = RiskScoreCalculated(
        score_id=ids.new_uuid(),
        driver_id=driver_id,
        risk_score=50.0,
        risk_category="elevated",
        confidence=0.5,
        exposure_miles=1000.0,
        expected_claims_per_million_miles=5.0,
        relativity=relativity,
        model_version="scorecard-1",
        calculated_at=clock.now(),
        reason="trip.completed",
    )
    return new_event(payload, type=RISK_SCORE_CALCULATED, version=1, key=driver_id)


async def _versions(db: Database, driver_id: str) -> list[tuple[int, str]]:
    async with db.read() as uow:
        query = select(premiums.c.version, premiums.c.kind).where(premiums.c.driver_id == driver_id)
        return [(row.version, row.kind) for row in await uow.conn.execute(query.order_by(premiums.c.version))]


async def test_the_first_charge_comes_from_the_facts_alone_and_only_once(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        charged = await world.pricing.charge_initial(uow, "DRV001")
        assert await world.pricing.charge_initial(uow, "DRV001") == charged
    assert (charged.version, charged.kind, charged.status, charged.reason) == (1, "charged", "active", "enrolment")
    assert charged.annual_premium == Decimal("1140.00")
    assert charged.monthly_premium == Decimal("95.00")
    assert charged.effective_date == date(2026, 6, 15)
    assert (charged.score_id, charged.model_version) == (None, None)
    (event,) = await published(world.db, topics.PREMIUMS)
    assert (event.type, event.key, event.data["annual_premium"]) == ("premium.charged", "DRV001", "1140.00")


async def test_a_score_indicates_and_charges_nothing(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        score = _score(1.4)
        indicated = await world.pricing.indicate(uow, "DRV001", score, "trip.completed")
    assert indicated is not None
    assert (indicated.version, indicated.kind, indicated.status) == (2, "indicated", "indicated")
    assert indicated.annual_premium == Decimal("1276.80")
    assert (indicated.score_id, indicated.model_version) == (score.score_id, "scorecard-1")
    async with world.db.begin() as uow:
        premiums_now = await world.pricing.current(uow, "DRV001")
    assert premiums_now.charged.annual_premium == Decimal("1140.00")
    assert premiums_now.indicated == indicated
    assert replay(premiums_now.indicated.worksheet) == (indicated.annual_premium, indicated.monthly_premium)
    assert [e.type for e in await published(world.db, topics.PREMIUMS)] == ["premium.charged", "premium.indicated"]


async def test_what_changes_nothing_adds_no_version(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        assert await world.pricing.indicate(uow, "DRV001", _score(1.2), "one") is not None
        assert await world.pricing.indicate(uow, "DRV001", _score(1.2), "the same") is None
        assert await world.pricing.indicate(uow, "DRV001", _score(1.3), "worse") is not None
        assert await world.pricing.indicate(uow, "DRV001", _score(1.3, model="scorecard-2"), "model") is not None
    assert [version for version, _ in await _versions(world.db, "DRV001")] == [1, 2, 3, 4]


async def test_versions_have_no_gap_when_many_write_at_once(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")

    async def write(number: int) -> None:
        async with world.db.begin() as uow:
            await world.pricing.indicate(uow, "DRV001", _score(1 + number / 10), "race")

    await asyncio.gather(*(write(n) for n in range(8)))
    versions = await _versions(world.db, "DRV001")
    assert [version for version, _ in versions] == list(range(1, len(versions) + 1))
    assert [kind for _, kind in versions].count("charged") == 1


async def test_the_charged_premium_stands_while_the_indicated_follows(world: World, frozen: FrozenClock) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        for relativity in (0.5, 2.0, 3.0):
            await world.pricing.indicate(uow, "DRV001", _score(relativity, 0.9), "trip.completed")
    frozen.advance(timedelta(days=40))
    async with world.db.begin() as uow:
        now = await world.pricing.current(uow, "DRV001")
        many = await world.pricing.latest_many(uow, ["DRV001", "DRV404"])
        shown = await world.pricing.latest_many(uow, ["DRV001"], PremiumKind.INDICATED)
    assert now.charged.annual_premium == Decimal("1140.00")
    assert now.indicated is not None
    assert now.indicated.annual_premium == Decimal("1425.00"), "the term's limit holds"
    assert many == {"DRV001": now.charged}
    assert shown == {"DRV001": now.indicated}


async def test_what_if_stores_nothing(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
    async with world.db.read() as uow:
        worse = await world.pricing.price_for_relativity(uow, "DRV001", 1.4, 0.5)
        better = await world.pricing.price_for_relativity(uow, "DRV001", 0.7, 0.5)
    assert better.annual_premium < Decimal("1140.00") < worse.annual_premium == Decimal("1276.80")
    assert await _versions(world.db, "DRV001") == []
    async with world.db.begin() as uow:
        await world.pricing.charge_initial(uow, "DRV001")
        assert await world.pricing.price_for_relativity(uow, "DRV001", 1.4, 0.5) == worse


async def test_an_unknown_driver_has_no_premium(world: World) -> None:
    async with world.db.begin() as uow:
        with pytest.raises(DriverNotFound):
            await world.pricing.current(uow, "DRV404")


async def test_a_score_event_has_its_effect_once(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
    event = _event("DRV001", 1.3)
    assert await deliver(world.db, subscription(world.pricing), [event]) == [Ok(None)]
    assert await deliver(world.db, subscription(world.pricing), [event]) == [Drop()]
    assert await _versions(world.db, "DRV001") == [(1, "charged"), (2, "indicated")]
    assert subscription(world.pricing).group == GROUP == "pricing"


async def test_a_driver_who_is_gone_stops_nobody_elses_price(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV002")
    batch = [_event("DRV404", 1.3), _event("DRV002", 1.3)]
    assert await deliver(world.db, subscription(world.pricing), batch) == [Ok(None), Ok(None)]
    assert await _versions(world.db, "DRV002") == [(1, "charged"), (2, "indicated")]


async def test_from_a_trip_to_an_indicated_premium(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        trip_id = await add_trip(uow, "DRV001", TODAY, distance_miles=900.0, harsh_braking_count=400, night_miles=400.0)
    await deliver(world.db, risk_handlers.subscription(world.risk), [trip_event(TRIP_COMPLETED, trip_id, "DRV001")])
    scores = await published(world.db, topics.RISK_SCORES)
    await deliver(world.db, subscription(world.pricing), scores)
    async with world.db.begin() as uow:
        now = await world.pricing.current(uow, "DRV001")
    assert now.indicated is not None
    assert str(now.indicated.score_id) == scores[0].data["score_id"]
    assert now.indicated.annual_premium > now.charged.annual_premium
    assert now.indicated.reason == TRIP_COMPLETED


async def test_another_fault_is_tried_again(world: World) -> None:
    class Away:
        async def indicate(self, *_: object, **__: object) -> None:
            raise Unavailable("try later")

    with pytest.raises(Unavailable):
        await deliver(world.db, subscription(cast("PricingService", Away())), [_event("DRV001", 1.3)])
