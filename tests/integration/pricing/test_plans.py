"""Rating plans in the database: kept, looked at from the drivers' side, put in force from a day on, not dated back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta

import httpx
import pytest
from sqlalchemy import func, select

from auto_insurance.identity.deps import current_user
from auto_insurance.identity.schemas import Principal, Role
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.http.app import AppOptions, AppState, attach_state, create_app
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.pricing.api.plans import router
from auto_insurance.pricing.errors import (
    DislocationMissing,
    DislocationNotFound,
    InvalidActivation,
    PlanNotFound,
    PlanVersionTaken,
    UnusablePlan,
)
from auto_insurance.pricing.models import premiums
from auto_insurance.pricing.plan import shipped_document
from auto_insurance.pricing.plans import PlanOptions, PlanRegistry
from auto_insurance.pricing.plans_book import Dislocations
from tests.support.scoring import TODAY, World, add_driver

TODAY_DATE = TODAY.date()
MINE = shipped_document("standard-2").replace('version = "standard-2"', 'version = "mine-1"')


@pytest.fixture
def plans() -> PlanRegistry:
    """A registry that looks at the activations each time."""
    return PlanRegistry(PlanOptions(look_every_s=0.0))


@pytest.fixture
async def book(world: World) -> World:
    """Three drivers with premiums."""
    async with world.db.begin() as uow:
        for number, state in enumerate(("CA", "NY", "WA"), start=1):
            await add_driver(uow, f"DRV00{number}", state=state)
        for number in (1, 2, 3):
            await world.pricing.current(uow, f"DRV00{number}")
    return world


async def _report(db: Database, plans: PlanRegistry, old: str, new: str) -> None:
    async with db.begin() as uow:
        await Dislocations(plans).on_book(uow, old, new, by="ada")


async def _activate(
    db: Database, plans: PlanRegistry, version: str, start: date, why: str = "seen by the board"
) -> None:
    async with db.begin() as uow:
        await plans.activate(uow, version, effective_from=start, by="ada", reason=why)


async def _active(db: Database, plans: PlanRegistry, on: date) -> str:
    async with db.read() as uow:
        return (await plans.active(uow, on)).version


async def test_the_default_rates_until_another_one_is_put_in_force(book: World, plans: PlanRegistry) -> None:
    start = TODAY_DATE + timedelta(days=30)
    assert await _active(book.db, plans, TODAY_DATE) == "standard-1"
    await _report(book.db, plans, "standard-1", "standard-2")
    await _activate(book.db, plans, "standard-2", start)
    assert await _active(book.db, plans, start - timedelta(days=1)) == "standard-1"
    assert await _active(book.db, plans, start) == "standard-2"
    async with book.db.read() as uow:
        items = {item.version: item for item in await plans.list_plans(uow)}
        (activation,) = await plans.activations(uow)
    assert items["standard-1"].in_force
    assert not items["standard-2"].in_force
    assert items["standard-2"].created_by == "ada"
    assert items["legacy-smooth-1"].created_at is None
    assert (activation.version, activation.activated_by, activation.reason) == (
        "standard-2",
        "ada",
        "seen by the board",
    )


async def test_of_several_activations_the_latest_day_then_the_last_decision_holds(
    book: World, plans: PlanRegistry, frozen: FrozenClock
) -> None:
    later, first = TODAY_DATE + timedelta(days=60), TODAY_DATE + timedelta(days=30)
    await _report(book.db, plans, "standard-1", "standard-2")
    await _report(book.db, plans, "standard-1", "legacy-smooth-1")
    await _activate(book.db, plans, "standard-2", later)
    frozen.advance(timedelta(minutes=1))
    await _activate(book.db, plans, "legacy-smooth-1", first)
    assert await _active(book.db, plans, later) == "standard-2"
    assert await _active(book.db, plans, later - timedelta(days=1)) == "legacy-smooth-1"
    await _report(book.db, plans, "legacy-smooth-1", "standard-1")
    frozen.advance(timedelta(minutes=1))
    await _activate(book.db, plans, "standard-1", first, "thought better of it")
    assert await _active(book.db, plans, first) == "standard-1"


async def test_no_activation_without_a_fresh_report_on_just_these_plans(
    book: World, plans: PlanRegistry, frozen: FrozenClock
) -> None:
    start = TODAY_DATE + timedelta(days=30)
    with pytest.raises(DislocationMissing, match="plan dislocation standard-1 standard-2"):
        await _activate(book.db, plans, "standard-2", start)
    await _report(book.db, plans, "legacy-smooth-1", "standard-2")
    with pytest.raises(DislocationMissing, match="there is none on the book"):
        await _activate(book.db, plans, "standard-2", start)
    await _report(book.db, plans, "standard-1", "standard-2")
    frozen.advance(timedelta(days=8))
    with pytest.raises(DislocationMissing, match="the newest is of 2026-06-15, older than 7 days"):
        await _activate(book.db, plans, "standard-2", start)
    await _report(book.db, plans, "standard-1", "standard-2")
    await _activate(book.db, plans, "standard-2", start)


async def test_a_report_on_a_plan_that_was_replaced_meanwhile_does_not_count(book: World, plans: PlanRegistry) -> None:
    await _report(book.db, plans, "standard-1", "standard-2")
    await _report(book.db, plans, "standard-1", "legacy-smooth-1")
    await _activate(book.db, plans, "legacy-smooth-1", TODAY_DATE)
    with pytest.raises(DislocationMissing, match="from legacy-smooth-1 to standard-2"):
        await _activate(book.db, plans, "standard-2", TODAY_DATE + timedelta(days=1))


async def test_what_cannot_be_activated(book: World, plans: PlanRegistry) -> None:
    for version, start, why, field in (
        ("standard-2", TODAY_DATE - timedelta(days=1), "x", "effective_from"),
        ("standard-1", TODAY_DATE, "x", "version"),
        ("standard-2", TODAY_DATE, "  ", "reason"),
    ):
        with pytest.raises(InvalidActivation) as caught:
            await _activate(book.db, plans, version, start, why)
        assert caught.value.errors[0].field == field
    async with book.db.begin() as uow:
        await plans.add(uow, MINE.replace("effective_from = 2026-01-01", "effective_from = 2027-01-01"), "ada")
    with pytest.raises(InvalidActivation, match="holds from 2027-01-01 on"):
        await _activate(book.db, plans, "mine-1", TODAY_DATE)


async def test_stored_premiums_stay_as_they_are(book: World, plans: PlanRegistry) -> None:
    async def stored() -> list[object]:
        async with book.db.read() as uow:
            rows = await uow.conn.execute(select(premiums).order_by(premiums.c.driver_id, premiums.c.version))
            return [tuple(row) for row in rows]

    before = await stored()
    await _report(book.db, plans, "standard-1", "standard-2")
    await _activate(book.db, plans, "standard-2", TODAY_DATE)
    assert await stored() == before


async def test_a_plan_of_ones_own_is_kept_once_and_never_changed(db: Database, frozen: FrozenClock) -> None:
    plans = PlanRegistry(PlanOptions(look_every_s=0.0))
    async with db.begin() as uow:
        item = await plans.add(uow, MINE, "ada")
        again = await plans.add(uow, "# a word more\n" + MINE, "bob")
        assert (item.version, again.created_by) == ("mine-1", "ada")
        with pytest.raises(PlanVersionTaken):
            await plans.add(uow, MINE.replace("total = 0.40", "total = 0.41"), "ada")
        with pytest.raises(PlanVersionTaken):
            await plans.add(uow, shipped_document("standard-2"), "ada")
        with pytest.raises(UnusablePlan, match=r"base\.CA"):
            await plans.add(uow, MINE.replace("collision = 350.00\n", ""), "ada")
        with pytest.raises(PlanNotFound):
            await plans.get(uow, "no-such-plan")
        assert (await plans.get(uow, "mine-1")).version == "mine-1"
        assert await plans.document(uow, "mine-1") == MINE


async def test_what_was_rolled_back_is_not_remembered(db: Database, frozen: FrozenClock) -> None:
    plans = PlanRegistry(PlanOptions(look_every_s=0.0))
    with pytest.raises(RuntimeError, match="enough"):
        async with db.begin() as uow:
            await plans.add(uow, MINE, "ada")
            raise RuntimeError("enough")
    async with db.read() as uow:
        with pytest.raises(PlanNotFound):
            await plans.get(uow, "mine-1")


async def test_activations_are_looked_at_now_and_then(book: World) -> None:
    here, there = PlanRegistry(PlanOptions(look_every_s=0.0)), PlanRegistry(PlanOptions(look_every_s=3600.0))
    assert await _active(book.db, there, TODAY_DATE) == "standard-1"
    await _report(book.db, here, "standard-1", "standard-2")
    await _activate(book.db, here, "standard-2", TODAY_DATE)
    assert await _active(book.db, there, TODAY_DATE) == "standard-1"
    there.forget()
    assert await _active(book.db, there, TODAY_DATE) == "standard-2"


async def test_the_report_is_of_every_drivers_newest_inputs(book: World, plans: PlanRegistry) -> None:
    seen: list[int] = []
    async with book.db.begin() as uow:
        row = await Dislocations(plans).on_book(uow, "standard-1", "standard-2", by="ada", progress=seen.append)
        drivers = (await uow.conn.execute(select(func.count(premiums.c.driver_id.distinct())))).scalar_one()
        again = await Dislocations(plans).on_book(uow, "standard-1", "standard-2", by="ada")
    assert row.policies == drivers == seen[-1] == 3
    assert (row.book_fingerprint, row.report) == (again.book_fingerprint, again.report)
    assert {group["name"] for group in row.report["segments"]["state"]} == {"CA", "NY", "WA"}
    async with book.db.read() as uow:
        with pytest.raises(DislocationNotFound):
            await Dislocations(plans).get(uow, "standard-1", row.dislocation_id)
        assert (await Dislocations(plans).get(uow, "standard-2", row.dislocation_id)).report == row.report


@pytest.fixture
async def client(book: World, plans: PlanRegistry) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's client of the routes."""
    app = create_app(AppOptions(), [router])
    attach_state(app, AppState(database=book.db, services={PlanRegistry: plans, Dislocations: Dislocations(plans)}))
    ada = Principal(user_id=ids.new_uuid(), username="ada", roles=frozenset({Role.ADMIN}), driver_id=None)
    app.dependency_overrides[current_user] = lambda: ada
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/api/v1") as made:
        yield made


async def test_over_http(client: httpx.AsyncClient, book: World, plans: PlanRegistry) -> None:
    added = await client.post("/pricing/plans", json={"document": MINE})
    assert (added.status_code, added.json()["version"], added.json()["in_force"]) == (201, "mine-1", False)
    shown = await client.get("/pricing/plans/mine-1")
    assert (shown.status_code, shown.json()["document"]) == (200, MINE)
    wish = {"effective_from": TODAY_DATE.isoformat(), "reason": "seen by the board"}
    refused = await client.post("/pricing/plans/mine-1/activate", json=wish)
    assert (refused.status_code, refused.json()["code"]) == (409, "dislocation_report_missing")
    await _report(book.db, plans, "standard-1", "mine-1")
    (report,) = (await client.get("/pricing/plans/mine-1/dislocations")).json()["dislocations"]
    detail = await client.get(f"/pricing/plans/mine-1/dislocations/{report['dislocation_id']}")
    assert detail.json()["report"]["overall"]["policies"] == 3
    page = await client.get(f"/pricing/plans/mine-1/dislocations/{report['dislocation_id']}/page")
    assert page.headers["content-type"].startswith("text/html")
    assert "Dislocation: standard-1 to mine-1" in page.text
    done = await client.post("/pricing/plans/mine-1/activate", json=wish)
    assert (done.status_code, done.json()["activated_by"]) == (200, "ada")
    listed = (await client.get("/pricing/plans")).json()
    assert [plan["version"] for plan in listed["plans"] if plan["in_force"]] == ["mine-1"]
    assert listed["activations"][0]["dislocation_id"] == report["dislocation_id"]


async def test_what_is_refused_over_http(client: httpx.AsyncClient) -> None:
    nobody = "0198c0de-0000-7000-8000-000000000001"
    past = {"effective_from": "2020-01-01", "reason": "x"}
    for method, path, body, status in (
        ("GET", "/pricing/plans/no-such", None, 404),
        ("GET", "/pricing/plans/No Such", None, 422),
        ("GET", f"/pricing/plans/standard-2/dislocations/{nobody}", None, 404),
        ("POST", "/pricing/plans", {"document": "x"}, 422),
        ("POST", "/pricing/plans/standard-2/activate", past, 422),
    ):
        assert (await client.request(method, path, json=body)).status_code == status, path
