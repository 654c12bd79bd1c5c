"""Training data of our own tables: insured driver-periods that never see later trips or claims."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from auto_insurance.contracts.claims import CLAIM_REPORTED, ClaimState
from auto_insurance.contracts.policies import POLICY_BOUND, InForce, PolicyChanged
from auto_insurance.drivers.schemas import Purpose
from auto_insurance.drivers.schemas_consents import ConsentChange, ConsentsChange
from auto_insurance.drivers.service import ConsentService, DriverService
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.kernel.events import new_event
from auto_insurance.risk.claims_handlers import claims_subscription, policies_subscription
from auto_insurance.risk.dataset import Dataset, DatasetBuilder, DatasetRequest
from auto_insurance.risk.errors import NothingToLearnFrom
from auto_insurance.risk.periods import PeriodKind
from auto_insurance.risk.training.own import spec_for
from auto_insurance.risk.training.table import table_of
from auto_insurance.trips.service import TripService
from tests.support.exposure import claim, policy
from tests.support.scoring import World, add_driver, add_trip, deliver


def day(month: int, number: int, year: int = 2026) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


YEAR = (day(1, 1), day(1, 1, 2027))
SPRING = DatasetRequest(day(2, 1), day(5, 1))


async def tell(world: World, policies: Sequence[PolicyChanged] = (), claims: Sequence[ClaimState] = ()) -> None:
    bound = [new_event(one, type=POLICY_BOUND, version=1, key=one.driver_id) for one in policies]
    reported = [new_event(one, type=CLAIM_REPORTED, version=1, key=one.driver_id) for one in claims]
    await deliver(world.db, policies_subscription(), bound)
    await deliver(world.db, claims_subscription(), reported)


async def drive(world: World, driver_id: str, *at: datetime, miles: float = 100.0, brakes: int = 0) -> None:
    async with world.db.begin() as uow:
        for start in at:
            await add_trip(uow, driver_id, start, distance_miles=miles, harsh_braking_count=brakes)


async def build(world: World, wanted: DatasetRequest = SPRING) -> Dataset:
    people: DriverService = world.drivers
    builder = DatasetBuilder(TripService(), people, world.risk.loaded.exposure)
    async with world.db.read() as uow:
        return await builder.build(uow, wanted)


@pytest.fixture
async def book(world: World, frozen: FrozenClock) -> World:
    """Two drivers: one insured all year who braked hard in January, one insured from 10 March to 20 April."""
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001")
        await add_driver(uow, "DRV002", state="IL")
    short = (InForce(day(3, 10), day(4, 20)),)
    await tell(
        world,
        [policy("POL-1", "DRV001", *YEAR), policy("POL-2", "DRV002", day(3, 10), day(3, 10, 2027), in_force=short)],
        [claim("CLM-1", "DRV001", day(3, 5)), claim("CLM-2", "DRV002", day(4, 25))],
    )
    await drive(world, "DRV001", day(1, 15), miles=100.0, brakes=4)
    await drive(world, "DRV001", day(2, 10), day(2, 20), day(3, 3), day(4, 3))
    await drive(world, "DRV002", day(3, 1), day(3, 12), day(4, 19), day(4, 22), miles=50.0)
    return world


async def test_rows_have_time_miles_claims_and_the_driving_before(book: World) -> None:
    made = await build(book)
    rows = made.frame.select("driver_number", "period_start", "miles", "claims", "harsh_braking_per_100mi", "region")
    third = pytest.approx(4.0 / 3.0)  # 4 in 300 miles
    assert rows.rows() == [
        (0, day(2, 1), 200.0, 0, 4.0, "CA"),
        (0, day(3, 1), 100.0, 1, third, "CA"),
        (0, day(4, 1), 100.0, 0, 1.0, "CA"),
        (1, day(3, 1), 50.0, 0, None, "IL"),
        (1, day(4, 1), 50.0, 0, 0.0, "IL"),
    ]
    days = [round(years * 365.25) for years in made.frame["exposure_years"].to_list()]
    assert days == [28, 31, 30, 22, 19]
    assert (made.drivers, made.claims, made.claims_without_cover, made.without_driving) == (2, 1, 1, 0)
    assert made.frame["age"].to_list() == [40] * 5


async def test_what_comes_after_the_cut_off_changes_nothing(book: World) -> None:
    before = (await build(book)).frame
    await drive(book, "DRV001", day(5, 1), day(5, 20), brakes=9)
    await drive(book, "DRV002", day(6, 1), brakes=9)
    await tell(book, [policy("POL-3", "DRV003", day(5, 1), day(5, 1, 2027))], [claim("CLM-9", "DRV001", day(5, 1))])
    assert (await build(book)).frame.equals(before)


async def test_later_driving_never_reaches_the_features_of_an_earlier_period(book: World) -> None:
    before = (await build(book)).frame
    await drive(book, "DRV001", day(4, 28), brakes=50)
    after = (await build(book)).frame
    features = [feature.name for feature in spec_for(before).features]
    assert after.select(features).equals(before.select(features))
    assert sum(after["miles"].to_list()) == sum(before["miles"].to_list()) + 100.0


async def test_events_twice_or_out_of_order_change_nothing(book: World) -> None:
    before = (await build(book)).frame
    await tell(
        book,
        [policy("POL-1", "DRV001", YEAR[0], day(2, 2), revision=0), policy("POL-1", "DRV001", *YEAR)],
        [claim("CLM-1", "DRV001", day(2, 5), revision=0), claim("CLM-1", "DRV001", day(3, 5))],
    )
    assert (await build(book)).frame.equals(before)


async def test_a_claim_reported_late_counts_unless_one_asks_for_what_was_known(book: World) -> None:
    await tell(book, [], [claim("CLM-3", "DRV001", day(4, 10), reported_at=day(6, 1))])
    assert (await build(book)).claims == 2
    known = DatasetRequest(SPRING.since, SPRING.until, known_by=day(5, 1))
    assert (await build(book, known)).claims == 1


async def test_terms_are_rows_when_asked_for(book: World) -> None:
    made = await build(book, DatasetRequest(*YEAR, PeriodKind.TERM))
    assert made.frame.select("period_start", "miles", "claims").rows() == [
        (day(1, 1), 500.0, 1),
        (day(3, 10), 100.0, 0),
    ]


async def test_training_reads_the_file(book: World) -> None:
    frame = (await build(book)).frame
    data = table_of(frame, spec_for(frame), "own")
    assert (len(data), data.claims.sum(), len(set(data.groups.tolist()))) == (5, 1.0, 2)
    assert data.period_end is not None
    assert isinstance(frame, pl.DataFrame)


async def allow(world: World, driver_id: str, granted: bool, purpose: Purpose = Purpose.TRAINING) -> None:
    decision = ConsentChange(purpose=purpose.value, granted=granted, version=1 if granted else None)
    async with world.db.begin() as uow:
        change = ConsentsChange(consents=[decision])
        await ConsentService().decide(uow, driver_id, change, decided_by=ids.new_uuid(), source="driver")


def regions(made: Dataset) -> set[str]:
    """Return whose rows are in it: the two drivers live in different states."""
    return set(made.frame["region"].to_list())


async def test_who_does_not_allow_it_is_not_learned_from(book: World) -> None:
    assert regions(await build(book)) == {"CA", "IL"}  # the default: nobody has decided
    await allow(book, "DRV001", False)
    made = await build(book)
    assert regions(made) == {"IL"}
    assert (made.drivers, made.withheld) == (1, 1)
    # Neither miles nor claims of that driver are in any figure of the set.
    assert sum(made.frame["miles"].to_list()) == 100.0
    assert (made.claims, made.claims_without_driving, made.claims_without_cover) == (0, 0, 1)


async def test_a_consent_that_is_given_and_withdrawn_holds_for_what_is_made_from_then_on(
    book: World, frozen: FrozenClock
) -> None:
    """The decision of the moment counts for all periods, those from before it included: none is learned from again."""
    await allow(book, "DRV001", False)
    without = (await build(book)).frame
    frozen.advance(timedelta(days=1))
    await allow(book, "DRV001", True)
    with_it = await build(book)
    assert regions(with_it) == {"CA", "IL"}
    assert with_it.withheld == 0
    frozen.advance(timedelta(days=1))
    await allow(book, "DRV001", False)
    again = await build(book)
    assert again.frame.equals(without)
    assert again.withheld == 1
    terms = await build(book, DatasetRequest(*YEAR, PeriodKind.TERM))
    assert (regions(terms), terms.withheld) == ({"IL"}, 1)
    frozen.set(day(3, 1))  # a data set as of before: what is allowed is asked for now, not then
    assert (await build(book, DatasetRequest(day(1, 1), day(3, 20)))).withheld == 1


async def test_another_purpose_decides_nothing_here(book: World) -> None:
    await allow(book, "DRV001", False, Purpose.COACHING)
    made = await build(book)
    assert (regions(made), made.withheld) == ({"CA", "IL"}, 0)


async def test_where_nobody_allows_it_there_is_nothing(book: World) -> None:
    for driver_id in ("DRV001", "DRV002"):
        await allow(book, driver_id, False)
    with pytest.raises(NothingToLearnFrom):
        await build(book)


async def test_nothing_to_learn_from_is_said(world: World, frozen: FrozenClock) -> None:
    with pytest.raises(NothingToLearnFrom, match="Nobody was insured"):
        await build(world)
    await tell(world, [policy("POL-1", "DRV001", *YEAR)])
    with pytest.raises(NothingToLearnFrom, match="recorded mile"):
        await build(world)


def test_a_window_is_as_long_as_in_serving(world: World) -> None:
    assert DatasetBuilder(TripService(), world.drivers, world.risk.loaded.exposure)._window == timedelta(
        days=world.risk.window_days
    )
