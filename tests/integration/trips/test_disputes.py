"""A dispute: a driver says something against a trip, staff decide, and score, price and sums follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from auto_insurance.bootstrap import Container
from auto_insurance.contracts import topics
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import FrozenClock, use_clock
from auto_insurance.pricing import handlers as pricing_handlers
from auto_insurance.pricing.service import PricingService
from auto_insurance.risk import handlers as risk_handlers
from auto_insurance.risk.service import RiskService
from auto_insurance.trips.models import trips
from auto_insurance.trips.service import TripService
from tests.support.product import client_of, product
from tests.support.scoring import TODAY, add_driver, add_trip, deliver, published

DRIVER, OTHER = "DRV001", "DRV002"
SINCE, UNTIL = TODAY - timedelta(days=365), TODAY + timedelta(days=1)


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    at = FrozenClock(TODAY)
    with use_clock(at):
        yield at


@pytest.fixture
async def container(database_url: str, frozen: FrozenClock) -> AsyncIterator[Container]:
    async with product(database_url) as built:
        yield built


@pytest.fixture
async def trip_id(container: Container) -> UUID:
    """A wild trip beside a hundred calm ones."""
    async with container.database.begin() as uow:
        await add_driver(uow, DRIVER)
        await add_driver(uow, OTHER)
        for day in range(20):
            await add_trip(uow, DRIVER, TODAY - timedelta(days=40 - day), distance_miles=50.0)
        return await add_trip(
            uow, DRIVER, TODAY - timedelta(days=3), distance_miles=50.0, harsh_braking_count=60,
            harsh_braking_severe_count=30,
        )  # fmt: skip


async def _settle(container: Container, done: dict[str, int]) -> None:
    """Carry what waits from trips over risk to pricing, each event once."""
    steps = (
        (topics.TRIPS, risk_handlers.subscription(container.get(RiskService))),
        (topics.RISK_SCORES, pricing_handlers.subscription(container.get(PricingService))),
    )
    for topic, subscription in steps:
        waiting = (await published(container.database, topic))[done.get(topic, 0) :]
        done[topic] = done.get(topic, 0) + len(waiting)
        await deliver(container.database, subscription, waiting)


async def _miles(db: Database) -> tuple[float, float]:
    """Return the driver's miles by both ways of adding up."""
    service = TripService()
    async with db.read() as uow:
        one = await service.totals(uow, [DRIVER], SINCE, UNTIL)
        book = await service.totals_of_book(uow, [DRIVER], SINCE, UNTIL)
    return one[DRIVER].distance_miles, float(book.sums["distance_miles"][0])


async def test_an_accepted_dispute_takes_the_trip_out_and_price_follows(container: Container, trip_id: UUID) -> None:
    db, risk, pricing = container.database, container.get(RiskService), container.get(PricingService)
    done: dict[str, int] = {}
    async with db.begin() as uow:
        before = await risk.recalculate(uow, DRIVER, "trip.completed")
        await risk.score_trip(uow, trip_id)
    await _settle(container, done)
    assert await _miles(db) == (1050.0, 1050.0)

    async with client_of(container, driver_id=DRIVER) as client:
        answer = await client.post(
            f"/drivers/me/trips/{trip_id}/dispute", json={"reason": "passenger", "note": "My son drove."}
        )
        assert answer.status_code == 201
        assert answer.json()["status"] == "open"
        mine = (await client.get("/trips/disputes")).json()
    assert [item["trip_id"] for item in mine["items"]] == [str(trip_id)]
    assert await _miles(db) == (1050.0, 1050.0), "an open dispute changes nothing"

    dispute_id = answer.json()["dispute_id"]
    async with client_of(container, admin=True) as client:
        decided = await client.post(f"/trips/disputes/{dispute_id}/decide", json={"accept": True, "note": "Seen."})
        again = await client.post(f"/trips/disputes/{dispute_id}/decide", json={"accept": True})
        other = await client.post(f"/trips/disputes/{dispute_id}/decide", json={"accept": False})
    assert decided.status_code == again.status_code == 200
    assert decided.json() == again.json()
    assert (decided.json()["status"], decided.json()["decision_note"]) == ("accepted", "Seen.")
    assert (other.status_code, other.json()["code"]) == (409, "dispute_decided")
    assert await _miles(db) == (1000.0, 1000.0)

    told = await published(db, topics.TRIPS)
    assert [(event.type, event.data["reason"]) for event in told] == [("trip.withdrawn", "dispute")]
    await _settle(container, done)
    async with db.begin() as uow:
        after = await risk.recalculate(uow, DRIVER, "test")
        assert await risk.trip_score(uow, trip_id) is None
        indicated = await pricing.indicated(uow, DRIVER)
    assert after.risk_score < before.risk_score
    assert indicated is not None
    assert indicated.reason.startswith("correction of version")


async def test_the_driver_still_sees_the_trip_and_that_it_is_out(container: Container, trip_id: UUID) -> None:
    async with client_of(container, admin=True) as client:
        filed = await client.post(f"/drivers/{DRIVER}/trips/{trip_id}/dispute", json={"reason": "wrong_data"})
        await client.post(f"/trips/disputes/{filed.json()['dispute_id']}/decide", json={"accept": True})
    async with client_of(container, driver_id=DRIVER) as client:
        shown = (await client.get(f"/drivers/me/trips/{trip_id}")).json()
        summary = (await client.get("/drivers/me/trips/summary")).json()
        listed = (await client.get("/drivers/me/trips")).json()
    assert shown["excluded"] is True
    assert (summary["total_trips"], summary["total_miles"]) == (20, 1000.0)
    assert [item["excluded"] for item in listed["items"]].count(True) == 1
    assert listed["total"] == 21


async def test_a_rejected_dispute_changes_nothing(container: Container, trip_id: UUID) -> None:
    async with client_of(container, admin=True) as client:
        filed = await client.post(f"/drivers/{DRIVER}/trips/{trip_id}/dispute", json={"reason": "not_me"})
        await client.post(f"/trips/disputes/{filed.json()['dispute_id']}/decide", json={"accept": False})
        rejected = (await client.get("/trips/disputes", params={"status": "rejected"})).json()
        opened = (await client.get("/trips/disputes", params={"status": "open"})).json()
        once_more = await client.post(f"/drivers/{DRIVER}/trips/{trip_id}/dispute", json={"reason": "not_me"})
    assert (rejected["total"], opened["total"]) == (1, 0)
    assert (once_more.status_code, once_more.json()["code"]) == (409, "trip_already_disputed")
    assert await _miles(container.database) == (1050.0, 1050.0)
    assert await published(container.database, topics.TRIPS) == []


async def test_what_cannot_be_disputed(container: Container, trip_id: UUID) -> None:
    async with client_of(container, driver_id=OTHER) as client:
        foreign = await client.post(f"/drivers/me/trips/{trip_id}/dispute", json={"reason": "not_me"})
        stranger = await client.post(f"/drivers/{DRIVER}/trips/{trip_id}/dispute", json={"reason": "not_me"})
        decide = await client.post(f"/trips/disputes/{ids.new_uuid()}/decide", json={"accept": True})
    assert (foreign.status_code, foreign.json()["code"]) == (404, "trip_not_found")
    assert stranger.status_code == 404
    assert decide.status_code == 403
    async with container.database.begin() as uow:
        await uow.conn.execute(update(trips).where(trips.c.trip_id == trip_id).values(status="in_progress"))
    async with client_of(container, admin=True) as client:
        running = await client.post(f"/drivers/{DRIVER}/trips/{trip_id}/dispute", json={"reason": "not_me"})
        unknown = await client.post(f"/trips/disputes/{ids.new_uuid()}/decide", json={"accept": True})
        wrong = await client.post(f"/drivers/{DRIVER}/trips/{trip_id}/dispute", json={"reason": "tired"})
    assert (running.status_code, running.json()["code"]) == (409, "trip_not_disputable")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "dispute_not_found")
    assert wrong.status_code == 422


async def test_late_events_do_not_bring_the_trip_back(container: Container, trip_id: UUID) -> None:
    """The row of a trip is written anew when late events change it; what staff decided stays."""
    async with client_of(container, admin=True) as client:
        filed = await client.post(f"/drivers/{DRIVER}/trips/{trip_id}/dispute", json={"reason": "not_me"})
        await client.post(f"/trips/disputes/{filed.json()['dispute_id']}/decide", json={"accept": True})
    async with container.database.begin() as uow:
        values = {"distance_miles": 60.0, "revision": 2, "status": "completed"}
        await uow.conn.execute(update(trips).where(trips.c.trip_id == trip_id).values(values))
        facts = await TripService().get(uow, trip_id)
    assert facts is not None
    assert facts.status == "excluded"
    assert await _miles(container.database) == (1000.0, 1000.0)
