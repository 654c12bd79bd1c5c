from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from auto_insurance.bootstrap import Container
from auto_insurance.infra.http.pagination import encode_cursor
from auto_insurance.risk.service import RiskService
from tests.support.product import client_of
from tests.support.scoring import TODAY, add_driver, add_trip

DAY = timedelta(days=1)


@pytest.fixture
async def trips(container: Container) -> list[UUID]:
    """DRV001: five trips, one a day, the last a wild one; DRV002: one."""
    async with container.database.begin() as uow:
        for driver_id in ("DRV001", "DRV002"):
            await add_driver(uow, driver_id)
        made = [
            await add_trip(uow, "DRV001", TODAY - number * DAY, distance_miles=10.0, duration_s=1800.0)
            for number in range(5, 1, -1)
        ]
        wild = {"harsh_braking_count": 9, "harsh_corner_count": 9, "rapid_accel_count": 9, "device_id": "WILD-1"}
        made.append(await add_trip(uow, "DRV001", TODAY - DAY, distance_miles=10.0, duration_s=1800.0, **wild))
        made.append(await add_trip(uow, "DRV002", TODAY - DAY, distance_miles=3.0))
        for trip_id in made[:5]:
            await container.get(RiskService).score_trip(uow, trip_id)
    return made


async def ids(client: httpx.AsyncClient, path: str, **params: object) -> list[str]:
    answer = await client.get(path, params={name.rstrip("_"): str(value) for name, value in params.items()})
    assert answer.status_code == 200, answer.text
    return [item["trip_id"] for item in answer.json()["items"]]


async def test_newest_first_in_pages_without_gap_or_overlap(container: Container, trips: list[UUID]) -> None:
    async with client_of(container, driver_id="DRV001") as client:
        pages = [await ids(client, "/drivers/me/trips", page=number, page_size=2) for number in (1, 2, 3, 4)]
        body = (await client.get("/drivers/me/trips", params={"page_size": 2})).json()
    assert [trip for page in pages for trip in page] == [str(trip) for trip in reversed(trips[:5])]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert (body["total"], body["page"], body["page_size"]) == (5, 1, 2)


async def test_from_is_included_and_to_is_not(container: Container, trips: list[UUID]) -> None:
    start, end = (TODAY - 3 * DAY).isoformat(), (TODAY - DAY).isoformat()
    async with client_of(container, driver_id="DRV001") as client:
        found = await ids(client, "/drivers/me/trips", from_=start, to=end)
        backwards = await client.get("/drivers/me/trips", params={"from": end, "to": start})
        naive = await client.get("/drivers/me/trips", params={"from": "2026-06-01T00:00:00"})
    assert found == [str(trips[3]), str(trips[2])]
    assert (backwards.status_code, backwards.json()["code"]) == (422, "bad_period")
    assert naive.status_code == 422


async def test_by_risk_level(container: Container, trips: list[UUID]) -> None:
    async with client_of(container, driver_id="DRV001") as client:
        answer = (await client.get("/drivers/me/trips")).json()["items"]
        found: dict[str, list[str]] = {}
        for item in answer:
            found.setdefault(item["risk_level"], []).append(item["trip_id"])
        for level in ("low", "medium", "high"):
            assert await ids(client, "/drivers/me/trips", risk_level=level) == found.get(level, [])
        assert (await client.get("/drivers/me/trips", params={"risk_level": "odd"})).status_code == 422
    assert str(trips[4]) in found["high"]


@pytest.mark.parametrize(("text", "count"), [("WILD", 1), ("wild-1", 1), ("DEV-DRV", 4), ("%", 0), ("_EV", 0), ("", 5)])
async def test_search_takes_the_beginning_of_an_id(
    container: Container, trips: list[UUID], text: str, count: int
) -> None:
    async with client_of(container, driver_id="DRV001") as client:
        assert len(await ids(client, "/drivers/me/trips", search=text)) == count
        assert await ids(client, "/drivers/me/trips", search=trips[0]) == [str(trips[0])]


async def test_the_list_over_drivers_shows_what_one_may_see(container: Container, trips: list[UUID]) -> None:
    async with client_of(container, admin=True) as client:
        assert len(await ids(client, "/trips")) == 6
        assert await ids(client, "/trips", driver_id="DRV002") == [str(trips[5])]
    async with client_of(container, driver_id="DRV002") as client:
        assert await ids(client, "/trips") == await ids(client, "/trips", driver_id="me") == [str(trips[5])]
        foreign = await client.get("/trips", params={"driver_id": "DRV001"})
        unknown = await client.get("/trips", params={"driver_id": "DRV404"})
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.json()["code"] == unknown.json()["code"]


async def test_a_list_has_an_end(container: Container) -> None:
    async with client_of(container, driver_id="DRV001") as client:
        for params in ({"page_size": 101}, {"page": 0}, {"search": "x" * 65}):
            assert (await client.get("/drivers/me/trips", params=params)).status_code == 422


async def test_unknown_is_null_and_known_zero_is_zero(container: Container) -> None:
    async with container.database.begin() as uow:
        await add_driver(uow, "DRV001")
        await add_trip(uow, "DRV001", TODAY - 2 * DAY, distance_miles=1.0)
        known = {"speed_limit_known_s": 60.0, "phone_known_s": 60.0}
        await add_trip(uow, "DRV001", TODAY - DAY, distance_miles=1.0, **known)
    async with client_of(container, driver_id="DRV001") as client:
        new, old = (await client.get("/drivers/me/trips")).json()["items"]
    assert (old["speeding_seconds"], old["phone_usage_seconds"]) == (None, None)
    assert (new["speeding_seconds"], new["phone_usage_seconds"]) == (0.0, 0.0)
    assert (old["trip_score"], old["risk_level"], old["end_place"]) == (None, None, None)


async def test_a_cursor_reads_on_whatever_comes_in_meanwhile(container: Container, trips: list[UUID]) -> None:
    seen: list[str] = []
    cursor: str | None = None
    async with client_of(container, driver_id="DRV001") as client:
        for number in range(10):
            given = {"cursor": cursor} if cursor else {}
            page = (await client.get("/drivers/me/trips", params={"page_size": 2, **given})).json()
            assert page["total"] == 5 + number
            seen += [item["trip_id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
            async with container.database.begin() as uow:
                await add_trip(uow, "DRV001", TODAY - timedelta(minutes=number + 1), distance_miles=1.0)
    assert seen == [str(trip) for trip in reversed(trips[:5])]


async def test_trips_of_one_instant_are_in_order_of_their_ids(container: Container, trips: list[UUID]) -> None:
    async with container.database.begin() as uow:
        for number in range(5):
            await add_trip(uow, "DRV001", TODAY, device_id=f"D{number}")
    async with client_of(container, admin=True) as client:
        whole = await ids(client, "/trips", page_size=100)
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await client.get("/trips", params={"page_size": 1, **cursor})).json()
            seen += [item["trip_id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
    assert seen == whole
    assert len(seen) == 11


async def test_what_is_no_cursor_of_the_list_is_refused(container: Container) -> None:
    async with client_of(container, driver_id="DRV001") as client:
        for word in ("AAAA", encode_cursor("alerts", 1), encode_cursor("trips", "x", "y"), "a" * 300, "*"):
            answer = await client.get("/drivers/me/trips", params={"cursor": word})
            assert answer.status_code == 422, word
            assert answer.json()["errors"][0]["field"] == "query.cursor"
