"""The figures on screen are those of the rows."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from auto_insurance.admin.errors import BadWindow
from auto_insurance.admin.recent import RecentFigures
from auto_insurance.admin.schemas_figures import ScoreBands
from auto_insurance.bootstrap import Container
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.policies.billing_jobs import BillingJobs
from tests.integration.admin.conftest import DAY, insured, value
from tests.support.product import client_of
from tests.support.scoring import TODAY, add_driver, add_trip
from tests.support.statements import assert_constant

FIGURES = (
    "/admin/dashboard/stats", "/admin/dashboard/summary", "/admin/dashboard/trip-activity",
    "/admin/dashboard/risk-distribution", "/admin/dashboard/safety-events-breakdown",
    "/admin/dashboard/policy-type-distribution", "/analytics/fleet/summary", "/analytics/risk-distribution",
    "/analytics/savings", "/analytics/loss-ratio", "/admin/events/stats",
)  # fmt: skip


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_empty_book_has_figures_too(container: Container, staff: httpx.AsyncClient) -> None:
    for path in FIGURES:
        await get(staff, path)
    assert (await get(staff, "/analytics/loss-ratio"))["lines"] == []
    assert (await get(staff, "/admin/dashboard/risk-distribution"))["low_risk_percentage"] == 0


async def test_stats_and_summary_are_what_sql_counts(book: Container, staff: httpx.AsyncClient) -> None:
    await insured(book, staff, "DRV001")
    stats, summary = await get(staff, "/admin/dashboard/stats"), await get(staff, "/admin/dashboard/summary")
    for name in ("drivers", "users", "vehicles", "devices"):
        assert stats["totals"][name] == await value(book.database, f"SELECT count(*) FROM {name}")
    done = "SELECT count(*) FROM trips WHERE status = 'completed'"
    assert stats["totals"]["trips"] == await value(book.database, done) == 11
    assert stats["exact"] == {"trips": True, "events": False}
    assert stats["recent_drivers"] == 1
    assert stats["recent_trips"] == summary["trips_last_7_days"] == 8
    assert summary["avg_risk_score"] == round((20 + 40 + 40.1 + 70 + 90) / 5, 2)
    assert (summary["total_drivers"], summary["scored_drivers"], summary["active_policies"]) == (6, 5, 1)
    running = "SELECT sum(annual_premium) FROM policy_segments WHERE until_revision IS NULL"
    assert Decimal(summary["annual_premium"]) == await value(book.database, running)


async def test_bands_include_their_upper_edge_and_add_up(book: Container, staff: httpx.AsyncClient) -> None:
    found = await get(staff, "/admin/dashboard/risk-distribution")
    counts = [found[f"{name}_risk_count"] for name in ("low", "medium", "high")]
    shares = [found[f"{name}_risk_percentage"] for name in ("low", "medium", "high")]
    assert (counts, shares, sum(shares)) == ([2, 2, 1], [40, 40, 20], 100)
    tenths = await get(staff, "/analytics/risk-distribution")
    assert [band["count"] for band in tenths["bands"]] == [0, 1, 0, 1, 1, 0, 1, 0, 1, 0]


async def test_activity_has_every_day_in_the_zone_asked_for(book: Container, staff: httpx.AsyncClient) -> None:
    found = await get(staff, "/admin/dashboard/trip-activity", days=12)
    assert [item["date"] for item in found["items"]] == [f"{TODAY - n * DAY:%Y-%m-%d}" for n in range(11, -1, -1)]
    assert [item["trip_count"] for item in found["items"]] == [0, *[1] * 9, 2, 0]
    assert found["items"][-2]["distance_miles"] == 13.5
    async with book.database.begin() as uow:
        await add_trip(uow, "DRV003", TODAY.replace(hour=2), distance_miles=1.0)
    chicago = await get(staff, "/admin/dashboard/trip-activity", days=2, tz="America/Chicago")
    assert [item["trip_count"] for item in chicago["items"]] == [3, 0]  # two at night UTC are of the evening before
    for wrong in ({"days": 0}, {"days": 91}, {"tz": "Mars/Olympus"}):
        assert (await staff.get("/admin/dashboard/trip-activity", params=wrong)).status_code == 422


async def test_safety_events_are_the_sums_of_the_trips(book: Container, staff: httpx.AsyncClient) -> None:
    found = await get(staff, "/admin/dashboard/safety-events-breakdown", days=30)
    assert (found["harsh_braking"], found["speeding"], found["total_events"]) == (10, 2, 12)
    assert found["events_per_100_miles"] == round(12 / 103.5 * 100, 4)
    fleet = await get(staff, "/analytics/fleet/summary", days=30)
    assert (fleet["trip_count"], fleet["active_drivers"], fleet["distance_miles"]) == (11, 2, 103.5)


async def test_policies_by_kind(book: Container, staff: httpx.AsyncClient) -> None:
    await insured(book, staff, "DRV001")
    found = await get(staff, "/admin/dashboard/policy-type-distribution")
    assert [(item["coverage"], item["count"], item["percentage"]) for item in found["items"]] == [("standard", 1, 100)]
    savings = await get(staff, "/analytics/savings")
    assert savings["policies"] == 1
    assert Decimal(savings["total_savings"]) == Decimal(savings["annual_premium_without_telematics"]) - Decimal(
        savings["annual_premium"]
    )


async def test_the_loss_ratio_is_of_earned_premium(
    book: Container, staff: httpx.AsyncClient, frozen: FrozenClock
) -> None:
    await insured(book, staff, "DRV001")
    frozen.advance(timedelta(days=40))
    await book.get(BillingJobs).run(TODAY.date() + 40 * DAY)
    found = await get(staff, "/analytics/loss-ratio")
    earned = await value(
        book.database,
        "SELECT sum(amount) FROM ledger_postings WHERE account = 'earned_premium' AND side = 'credit'",
    )
    [line] = found["lines"]
    assert Decimal(line["earned_premium"]) == earned > 0
    assert (Decimal(line["incurred"]), line["loss_ratio"]) == (Decimal(0), 0.0)
    assert found["exposure_years"] == round(40 / 365.25, 3)
    wrong = await staff.get("/analytics/loss-ratio", params={"from": "2026-06-15", "to": "2026-06-15"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_window")


async def test_figures_take_the_same_statements_whatever_the_size(book: Container, staff: httpx.AsyncClient) -> None:
    numbers = iter(range(100, 1000))

    async def more() -> None:
        async with book.database.begin() as uow:
            for _ in range(3):
                driver_id = f"DRV{next(numbers)}"
                await add_driver(uow, driver_id)
                await add_trip(uow, driver_id, TODAY - DAY, distance_miles=1.0)

    for path in FIGURES:
        await assert_constant(book.database, lambda path=path: staff.get(path), more)  # type: ignore[misc]


async def test_staff_alone(container: Container) -> None:
    async with client_of(container, driver_id="DRV001") as driver, client_of(container) as nobody:
        for path in (*FIGURES, "/admin/drivers", "/admin/search?q=DRV", "/admin/dead-letters", "/admin/system"):
            assert (await driver.get(path)).status_code == 403, path
            assert (await nobody.get(path)).status_code == 401, path


async def test_many_who_look_are_one_count(db: Database) -> None:
    """Within the time that figures are kept, and never an error of somebody's."""
    counts = 0

    async def count(uow: UnitOfWork) -> ScoreBands:
        nonlocal counts
        counts += 1
        await asyncio.sleep(0.01)
        if counts == 1:
            raise BadWindow("this time")
        return ScoreBands(total_drivers=counts, scored_drivers=0, avg_risk_score=None, bands=[])

    recent = RecentFigures(db, 0.4)
    with pytest.raises(BadWindow):
        await recent.get(("a",), count)
    found = await asyncio.gather(*(recent.get(("a",), count) for _ in range(20)))
    assert set(found) == {found[0]}
    assert await recent.get(("a",), count) == found[0]
    assert counts == 2
    assert await recent.get(("b",), count) != found[0]
    await asyncio.sleep(0.45)
    assert await recent.get(("a",), count) != found[0]


async def test_figures_that_are_looked_at_are_counted_anew_before_they_end(db: Database) -> None:
    """So nobody waits for them but the first; a count that fails meanwhile disturbs nobody either."""
    counts = 0

    async def count(uow: UnitOfWork) -> ScoreBands:
        nonlocal counts
        counts += 1
        if counts == 2:
            raise BadWindow("this time")
        return ScoreBands(total_drivers=counts, scored_drivers=0, avg_risk_score=None, bands=[])

    recent = RecentFigures(db, 4.0)
    first = await recent.get(("a",), count)
    assert await recent.get(("a",), count) == first
    assert counts == 1
    await asyncio.sleep(2.1)
    for _ in range(20):
        kept = recent.peek(("a",), count)
        assert kept is not None
        if kept.entry.body != first:
            break
        await asyncio.sleep(0.05)
    assert kept is not None
    assert (counts, kept.entry.body != first) == (3, True)
