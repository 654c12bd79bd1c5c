"""From a quote to a policy, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import func, select

from auto_insurance.contracts import topics
from auto_insurance.contracts.policies import InForce, PolicyChanged
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.kernel.errors import AppError
from auto_insurance.kernel.money import CENT
from auto_insurance.policies.errors import AlreadyInsured, InvalidChange, NotYourChange, QuoteNotBindable
from auto_insurance.policies.models import policies, policy_transactions
from auto_insurance.policies.postings import InstalmentPlan
from auto_insurance.policies.service import BindOrder
from tests.support.policies import DRIVER, STAFF, PolicyWorld, make_policy_world
from tests.support.scoring import TODAY, published

ORDER = BindOrder()


async def test_a_bound_quote_is_a_policy_at_its_price(world: PolicyWorld) -> None:
    quote = await world.quote(coverage="full")
    async with world.db.begin() as uow:
        order = BindOrder(months=6, instalments=InstalmentPlan.QUARTERLY)
        policy = await world.service.bind(uow, quote.quote_id, order, DRIVER, "DRV001")
    assert (policy.policy_id, policy.driver_id, policy.status) == ("POL-000001", "DRV001", "active")
    assert policy.revision == 2, "bound, and active since it begins today"
    term = await world.running(policy.policy_id)
    assert (term.row.starts_on, term.row.ends_on, term.row.months) == (date(2026, 6, 15), date(2026, 12, 15), 6)
    assert term.row.starts_at == TODAY, "nobody is covered before the bind"
    assert term.row.ends_at == datetime(2026, 12, 15, 8, tzinfo=UTC)
    [stretch] = term.stretches
    assert stretch.rate.annual_premium == quote.annual_premium
    assert term.row.written * 2 == pytest.approx(quote.annual_premium, abs=CENT)
    assert stretch.facts["vehicle_id"] == "VEH-DRV001"
    [booking] = world.books.bookings
    assert (booking.kind, booking.written, booking.instalments) == ("bound", term.row.written, "quarterly")
    assert booking.transaction_id == "POL-000001-0001"
    async with world.db.read() as uow:
        premium = await world.service.worksheet(uow, str(stretch.rate.premium_id))
        bound = await world.world.pricing.get_quote(uow, quote.quote_id)
    assert premium.worksheet[: len(quote.worksheet)] == quote.worksheet
    assert (premium.policy_id, bound.policy_id) == (policy.policy_id, policy.policy_id)


async def test_the_events_tell_how_the_term_stands(world: PolicyWorld) -> None:
    policy = await world.bound()
    told = await published(world.db, topics.POLICIES)
    assert [(event.type, event.key) for event in told] == [("policy.bound", "DRV001"), ("policy.activated", "DRV001")]
    last = msgspec.convert(told[-1].data, PolicyChanged)
    assert (last.policy_id, last.term, last.revision, last.status) == (policy.policy_id, 1, 2, "active")
    assert last.in_force == (InForce(TODAY, datetime(2027, 6, 15, 7, tzinfo=UTC)),)
    assert last.vehicle_ids == ("VEH-DRV001",)
    assert last.written_premium == str((await world.running(policy.policy_id)).row.written)


async def test_today_is_the_drivers_day(world: PolicyWorld, frozen: FrozenClock) -> None:
    """Evening in California, the next day already in UTC: who asks for cover from today on has it at once."""
    frozen.set(datetime(2026, 6, 16, 3, tzinfo=UTC))
    policy = await world.bound()
    assert policy.status == "active"
    assert (await world.running(policy.policy_id)).row.starts_on == date(2026, 6, 15)
    with pytest.raises(AppError):
        await world.bound("DRV002", start_date=date(2026, 6, 14))


async def test_a_later_start_waits_bound(world: PolicyWorld) -> None:
    policy = await world.bound(start_date=date(2026, 7, 1))
    assert (policy.status, policy.revision) == ("bound", 1)
    term = await world.running(policy.policy_id)
    assert term.row.starts_at == datetime(2026, 7, 1, 7, tzinfo=UTC)


async def test_a_quote_whose_first_day_has_gone_by_begins_today(world: PolicyWorld, frozen: FrozenClock) -> None:
    quote = await world.quote()
    frozen.advance(timedelta(days=3))
    async with world.db.begin() as uow:
        policy = await world.service.bind(uow, quote.quote_id, ORDER, STAFF)
    term = await world.running(policy.policy_id)
    assert term.row.starts_on == date(2026, 6, 18)
    assert term.stretches[0].rate.annual_premium == quote.annual_premium, "the price holds"


async def test_binding_again_gives_the_same_policy(world: PolicyWorld) -> None:
    quote = await world.quote()
    found = []
    for _ in range(2):
        async with world.db.begin() as uow:
            found.append(await world.service.bind(uow, quote.quote_id, ORDER, DRIVER, "DRV001"))
    assert found[0].policy_id == found[1].policy_id
    assert len(world.books.bookings) == 1


async def test_a_hundred_binds_at_once_give_one_policy(world: PolicyWorld, database_url: str) -> None:
    quote = await world.quote()
    wide = Database(create_engine(EngineOptions(url=database_url, pool_size=40, max_overflow=0, pool_timeout_s=60.0)))
    many = make_policy_world(wide)
    gate = asyncio.Event()

    async def bind() -> str:
        async with wide.begin() as uow:
            await uow.conn.execute(select(1))
            gate.set()
            policy = await many.service.bind(uow, quote.quote_id, ORDER, DRIVER, "DRV001")
            return policy.policy_id

    try:
        found = await asyncio.gather(*(bind() for _ in range(100)))
    finally:
        await wide.dispose()
    assert set(found) == {"POL-000001"}
    async with world.db.read() as uow:
        assert (await uow.conn.execute(select(func.count()).select_from(policies))).scalar_one() == 1
        kinds = (await uow.conn.execute(select(policy_transactions.c.kind))).scalars().all()
    assert sorted(kinds) == ["activated", "bound"]
    assert len(many.books.bookings) == 1


async def test_a_strangers_quote_is_bound_by_staff_for_a_driver(world: PolicyWorld) -> None:
    quote = await world.quote(None, state="CA", annual_mileage=9000)
    async with world.db.begin() as uow:
        with pytest.raises(InvalidChange, match="driver_id"):
            await world.service.bind(uow, quote.quote_id, ORDER, STAFF)
    async with world.db.begin() as uow:
        policy = await world.service.bind(uow, quote.quote_id, BindOrder(driver_id="DRV002"), STAFF)
    assert policy.driver_id == "DRV002"


@pytest.mark.parametrize(
    ("order", "own", "error"),
    [
        (BindOrder(), "DRV002", NotYourChange),
        (BindOrder(driver_id="DRV002"), "DRV002", QuoteNotBindable),
        (BindOrder(months=7), "DRV001", InvalidChange),
        (BindOrder(vehicle_id="VEH-DRV002"), "DRV001", InvalidChange),
    ],
)
async def test_what_does_not_fit_is_refused(
    world: PolicyWorld, order: BindOrder, own: str, error: type[AppError]
) -> None:
    quote = await world.quote()
    async with world.db.begin() as uow:
        with pytest.raises(error):
            await world.service.bind(uow, quote.quote_id, order, DRIVER, own)


async def test_an_expired_quote_is_refused(world: PolicyWorld, frozen: FrozenClock) -> None:
    quote = await world.quote()
    frozen.advance(timedelta(days=31))
    async with world.db.begin() as uow:
        with pytest.raises(AppError) as caught:
            await world.service.bind(uow, quote.quote_id, ORDER, STAFF)
    assert caught.value.code == "quote_expired"


async def test_a_vehicle_is_insured_once_at_a_time(world: PolicyWorld) -> None:
    first = await world.bound()
    with pytest.raises(AlreadyInsured, match=first.policy_id):
        await world.bound()
    after = await world.bound(start_date=date(2027, 6, 15))
    assert after.status == "bound", "from the day on which the first one ends"


async def test_a_preview_stores_nothing(world: PolicyWorld) -> None:
    quote = await world.quote()
    async with world.db.read() as uow:
        change = await world.service.preview_bind(uow, quote.quote_id, BindOrder(months=6), DRIVER, "DRV001")
    assert change.cost.written * 2 == pytest.approx(quote.annual_premium, abs=CENT)
    assert change.row.ends_on == date(2026, 12, 15)
    async with world.db.read() as uow:
        assert (await world.service.list(uow))[1] == 0
        assert (await world.world.pricing.get_quote(uow, quote.quote_id)).status == "open"
