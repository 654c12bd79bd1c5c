"""A charged premium moves for a reason, from a day on, and never by a score alone."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal

import msgspec
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from auto_insurance.contracts import topics
from auto_insurance.drivers.errors import DriverNotFound
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.pricing import repository
from auto_insurance.pricing.corrections import Corrections
from auto_insurance.pricing.errors import InvalidRatingInputs, PremiumNotFound
from auto_insurance.pricing.models import premiums
from auto_insurance.pricing.rating import replay_all
from auto_insurance.pricing.schemas import Premium
from auto_insurance.pricing.service import RiskChanges, Score, charged_relativity
from auto_insurance.pricing.service_rater import OnePlan
from auto_insurance.trips.service import TripService
from tests.support.scoring import TODAY, World, add_driver, add_trip, published

DAY = TODAY.date()


async def _drives(world: World, braking: int = 600) -> None:
    """Give DRV001 900 hard miles and a score of them."""
    async with world.db.begin() as uow:
        start = TODAY - timedelta(days=60)
        await add_trip(uow, "DRV001", start, distance_miles=400.0, **_hard(braking // 2))
        await add_trip(uow, "DRV001", TODAY - timedelta(days=1), distance_miles=500.0, **_hard(braking // 2))
        await world.risk.score_driver(uow, "DRV001", "test")


def _hard(count: int) -> dict[str, int]:
    """So many harsh events of each kind, half of them severe."""
    kinds = ("harsh_braking", "rapid_accel", "harsh_corner")
    return {f"{kind}_{what}": count // part for kind in kinds for what, part in (("count", 1), ("severe_count", 2))}


@pytest.fixture
async def driven(world: World) -> World:
    """DRV001 with a bad score."""
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
    await _drives(world)
    return world


async def _charge(world: World, reason: str, on: date = DAY, **more: object) -> Premium:
    async with world.db.begin() as uow:
        return await world.pricing.charge(uow, "DRV001", reason=reason, effective_date=on, **more)  # type: ignore[arg-type]


async def test_bind_takes_the_newest_score_and_says_what_it_rests_on(driven: World) -> None:
    bound = await _charge(driven, "bind", policy_id="POL-1", segment=1, note="policy bound")
    async with driven.db.read() as uow:
        score = await driven.risk.latest(uow, "DRV001")
    assert score is not None
    assert (bound.version, bound.kind, bound.status, bound.reason) == (1, "charged", "active", "bind: policy bound")
    assert (bound.policy_id, bound.segment, bound.corrects) == ("POL-1", 1, None)
    assert (bound.score_id, bound.model_version) == (score.score_id, score.model_version)
    assert bound.driving is not None
    assert bound.driving.features == score.features
    assert (bound.driving_from, bound.driving_to) == (score.window_from, score.window_to)
    assert charged_relativity(bound) > 1
    assert replay_all(bound.worksheet).annual_premium == bound.annual_premium
    async with driven.db.read() as uow:
        assert await driven.pricing.get(uow, bound.premium_id) == bound, "what is read is what was stored"
        rating = await driven.pricing.rating_of(uow, bound)
    assert (rating.annual_premium, rating.worksheet) == (bound.annual_premium, bound.worksheet)
    (event,) = await published(driven.db, topics.PREMIUMS)
    assert (event.type, event.data["policy_id"], event.data["segment"]) == ("premium.charged", "POL-1", 1)


async def test_a_score_of_no_trips_is_no_driving(world: World) -> None:
    """Whether the nightly run was before the bind or after it, trips that come later correct nothing."""
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        score = await world.risk.score_driver(uow, "DRV001", "nightly")
    assert score.trip_count == 0
    bound = await _charge(world, "bind")
    assert (bound.driving, bound.score_id, bound.driving_from) == (None, None, None)
    await _drives(world)
    async with world.db.begin() as uow:
        started = TODAY - timedelta(days=1)
        assert (
            await Corrections(OnePlan(), TripService(), world.risk).trip_changed(uow, "DRV001", started, "late") == []
        )


async def test_a_score_alone_moves_no_charged_premium(driven: World, frozen: FrozenClock) -> None:
    bound = await _charge(driven, "bind")
    for relativity in (0.4, 1.0, 3.0):
        frozen.advance(timedelta(days=1))
        async with driven.db.begin() as uow:
            score = Score(score_id=ids.new_uuid(), relativity=relativity, confidence=1.0, model_version="scorecard-1")
            await driven.pricing.indicate(uow, "DRV001", score, "trip.completed")
            assert (await driven.pricing.current(uow, "DRV001")).charged == bound
    async with driven.db.read() as uow:
        kinds = select(premiums.c.kind, func.count()).group_by(premiums.c.kind)
        assert dict((await uow.conn.execute(kinds)).tuples().all()) == {"charged": 1, "indicated": 3}


async def test_no_premium_without_a_reason(driven: World) -> None:
    with pytest.raises(IntegrityError, match="ck_premiums_reason"):
        async with driven.db.begin() as uow:
            bound = await driven.pricing.charge(uow, "DRV001", reason="bind", effective_date=DAY)
            other = {"premium_id": ids.new_uuid(), "version": 2, "reason": ""}
            await repository.add_premium(uow, msgspec.structs.replace(bound, **other))


async def test_a_stored_premium_cannot_be_changed(driven: World) -> None:
    bound = await _charge(driven, "bind")
    with pytest.raises(IntegrityError, match="append-only"):
        async with driven.db.begin() as uow:
            await uow.conn.execute(text("UPDATE premiums SET annual_premium = 1"))
    async with driven.db.read() as uow:
        assert await driven.pricing.get(uow, bound.premium_id) == bound


async def test_an_endorsement_changes_the_risk_and_nothing_of_the_driving(driven: World, frozen: FrozenClock) -> None:
    bound = await _charge(driven, "bind")
    frozen.advance(timedelta(days=90))
    await _drives(driven, braking=4000)
    later = DAY + timedelta(days=91)
    endorsed = await _charge(driven, "endorsement", later, risk_changes=RiskChanges(coverage="full"))
    assert endorsed.inputs.telematics == bound.inputs.telematics
    assert (endorsed.score_id, endorsed.driving) == (bound.score_id, bound.driving)
    assert endorsed.worksheet[0].factor == Decimal("1560.00")
    again = await _charge(driven, "endorsement", later + timedelta(days=1))
    assert again.inputs.coverage == "full", "what an endorsement changed holds on"
    assert again.changes == RiskChanges(coverage="full")
    renewed = await _charge(driven, "renewal", DAY + timedelta(days=365))
    assert renewed.inputs.coverage == "full"
    assert renewed.score_id != bound.score_id
    assert renewed.inputs.telematics.running_relativity == charged_relativity(bound)


async def test_the_running_term_priced_again_keeps_the_limit_of_the_term(driven: World) -> None:
    bound = await _charge(driven, "bind")
    for reason in ("recalculation", "month_end", "recalculation"):
        again = await _charge(driven, reason)
        assert again.inputs.telematics.running_relativity == bound.inputs.telematics.running_relativity == 1
        assert again.annual_premium == bound.annual_premium
    assert again.version == 4, "a new version each time, never an overwrite"


async def test_the_price_of_a_day_is_the_latest_that_took_effect(driven: World) -> None:
    await _charge(driven, "bind")
    renewed = await _charge(driven, "renewal", DAY + timedelta(days=365))
    out_of_order = await _charge(
        driven, "endorsement", DAY + timedelta(days=30), risk_changes=RiskChanges(coverage="liability")
    )
    async with driven.db.read() as uow:
        found = [
            await driven.pricing.charged_on(uow, "DRV001", DAY + timedelta(days=n)) for n in (-1, 0, 29, 30, 364, 365)
        ]
        many = await driven.pricing.latest_many(uow, ["DRV001"])
    assert [None if premium is None else premium.version for premium in found] == [None, 1, 1, 3, 3, 2]
    assert (renewed.version, out_of_order.version, many["DRV001"].version) == (2, 3, 1)


async def test_versions_have_no_gap_when_many_charge_at_once(driven: World) -> None:
    made = await asyncio.gather(*(_charge(driven, "recalculation") for _ in range(12)))
    assert sorted(premium.version for premium in made) == list(range(1, 13))


async def test_a_preview_is_what_would_be_charged_and_stores_nothing(driven: World) -> None:
    await _charge(driven, "bind")
    changes = RiskChanges(coverage="full", annual_mileage=18_000, vehicle_year=2026, vehicle_use="business")
    on = DAY + timedelta(days=10)
    async with driven.db.read() as uow:
        preview = await driven.pricing.rate_at(uow, "DRV001", on, changes, reason="endorsement")
    made = await _charge(driven, "endorsement", on, risk_changes=changes)
    assert made.version == 2
    assert (preview.annual_premium, preview.worksheet) == (made.annual_premium, made.worksheet)


async def test_who_drives_without_a_device_has_no_driving_in_the_price(driven: World) -> None:
    bound = await _charge(driven, "bind", risk_changes=RiskChanges(participating=False))
    assert not {"participation", "telematics"} & {line.code for line in bound.worksheet}
    async with driven.db.read() as uow:
        plain = await driven.pricing.traditional(uow, await driven.pricing.get(uow, bound.premium_id))
    assert plain.annual_premium == bound.annual_premium


async def test_what_the_plan_does_not_rate_is_refused(driven: World) -> None:
    with pytest.raises(InvalidRatingInputs, match="product"):
        await _charge(driven, "bind", risk_changes=RiskChanges(product="per_second"))
    with pytest.raises(DriverNotFound):
        async with driven.db.begin() as uow:
            await driven.pricing.charge(uow, "DRV404", reason="bind", effective_date=DAY)
    with pytest.raises(PremiumNotFound):
        async with driven.db.read() as uow:
            await driven.pricing.get(uow, ids.new_uuid())
