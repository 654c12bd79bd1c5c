"""Lists, files, search and actions over the book."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import Any

import httpx

from auto_insurance.admin.service import BookDesk
from auto_insurance.bootstrap import Container
from auto_insurance.identity.schemas import NewUser
from auto_insurance.identity.service import UserService
from auto_insurance.pricing.service import PricingService
from tests.integration.admin.conftest import DAY, insured, value
from tests.support.scoring import TODAY, add_driver, add_trip
from tests.support.statements import assert_constant


async def ids(client: httpx.AsyncClient, path: str = "/admin/drivers", **params: Any) -> list[str]:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["X-Total-Count"]) >= len(answer.json())
    names = {"vehicles": "vehicle_id", "devices": "device_id", "trips": "trip_id"}
    name = names.get(path.rpartition("/")[2], "driver_id")
    return [item[name] for item in answer.json()]


async def test_a_card_says_what_the_domains_say(book: Container, staff: httpx.AsyncClient) -> None:
    policy_id = await insured(book, staff, "DRV001")
    [card, second, *_] = (await staff.get("/admin/drivers")).json()
    async with book.database.read() as uow:
        premium = await book.get(PricingService).charged_today(uow, "DRV001")
    assert premium is not None
    assert (card["name"], card["trips"], card["miles"]) == ("Ada Number1", 10, 100.0)
    assert (card["risk_score"], card["risk_level"], card["policy_id"]) == (20.0, "low", policy_id)
    assert card["monthly_premium"] == str(premium.monthly_premium)
    assert (second["trips"], second["monthly_premium"]) == (1, None)


CARDS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"sort": "-risk_score", "limit": 2}, "54"),
    ({"sort": "risk_score", "skip": 4}, "56"),
    ({"sort": "-enrolled_at", "limit": 2}, "12"),
    ({"sort": "-monthly_premium", "limit": 1}, "1"),
    ({"sort": "last_trip_at", "limit": 2}, "12"),
    ({"risk_level": "medium"}, "34"),
    ({"risk_level": "none"}, "6"),
    ({"risk_level": "low", "sort": "-risk_score"}, "21"),
    ({"search": "number3"}, "3"),
    ({"search": "ada num"}, "123456"),
    ({"search": "drv002"}, "2"),
    ({"search": "ADA4@"}, "4"),
    ({"search": "%"}, ""),
    ({"state": "IL"}, ""),
    ({"status": "inactive"}, ""),
    ({"status": "active", "limit": 1, "skip": 5}, "6"),
)


async def test_cards_are_found_and_sorted(book: Container, staff: httpx.AsyncClient) -> None:
    for params, found in CARDS:
        assert await ids(staff, **params) == [f"DRV00{number}" for number in found], params


async def test_lists_and_details_take_the_same_statements_whatever_their_length(
    book: Container, staff: httpx.AsyncClient
) -> None:
    numbers = iter(range(100, 1000))

    async def more() -> None:
        async with book.database.begin() as uow:
            for _ in range(3):
                driver_id = f"DRV{next(numbers)}"
                await add_driver(uow, driver_id)
                await add_trip(uow, driver_id, TODAY - DAY, distance_miles=1.0)
                await add_trip(uow, "DRV001", TODAY - DAY, distance_miles=1.0)

    lists = ("/admin/drivers", "/admin/vehicles", "/admin/devices", "/admin/trips", "/admin/dead-letters")
    for path in (*lists, "/admin/events", "/admin/drivers/DRV001/details", "/admin/search?q=DRV", "/admin/consumers"):
        log = await assert_constant(book.database, lambda path=path: staff.get(path), more)  # type: ignore[misc]
        assert path not in lists or len(log) == 2, f"a count and a page, not\n{log}"
    for name in ("drivers", "vehicles", "devices", "trips", "policies", "dead-letters"):
        path = f"/admin/{name}/export.csv"
        log = await assert_constant(book.database, lambda path=path: staff.get(path), more)  # type: ignore[misc]
        assert len(log) == 1, log


async def test_files_have_the_rows_of_the_lists_and_no_formulas(book: Container, staff: httpx.AsyncClient) -> None:
    await insured(book, staff, "DRV001")
    for name, count in (("drivers", 6), ("vehicles", 6), ("devices", 1), ("trips", 11), ("policies", 1)):
        answer = await staff.get(f"/admin/{name}/export.csv")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
        assert f'filename="{name}.csv"' in answer.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert len(rows) == count
        assert answer.text.count("\r\n") == count + 1
    cards = list(csv.DictReader(io.StringIO((await staff.get("/admin/drivers/export.csv")).text, newline="")))
    assert [card["name"] for card in cards[:2]] == ["Ada Number1", "'=Ada Number2"]
    empty = await staff.get("/admin/drivers/export.csv", params={"search": "nobody"})
    assert empty.text.count("\r\n") == 1


async def test_a_driver_is_enrolled_changed_and_let_go(book: Container, staff: httpx.AsyncClient) -> None:
    made = await staff.post("/admin/drivers", json={"state": "IL", "full_name": "New"})
    driver_id = made.json()["driver_id"]
    changed = await staff.patch(f"/admin/drivers/{driver_id}", json={"state": "CA", "phone": "555-0100"})
    assert (changed.json()["state"], changed.json()["phone"], changed.json()["full_name"]) == ("CA", "555-0100", "New")
    assert (await staff.patch(f"/admin/drivers/{driver_id}", json={"state": None})).status_code == 422
    gone = await staff.delete(f"/admin/drivers/{driver_id}", params={"mode": "deactivate"})
    assert (gone.status_code, gone.json()["status"]) == (202, "inactive")
    car = {"driver_id": driver_id, "make": "M", "model": "M", "year": 2020}
    refused = await staff.post("/admin/vehicles", json=car)
    assert (refused.status_code, refused.json()["code"]) == (409, "driver_deactivated")
    await staff.patch(f"/admin/drivers/{driver_id}", json={"is_active": True})
    assert (await staff.post("/admin/vehicles", json=car)).status_code == 201
    async with book.database.begin() as uow:
        who = await book.get(UserService).create(uow, NewUser(username="clerk"), "a-long-password-1")
        first, second = [await book.get(BookDesk).remove(uow, driver_id, "erasure", who.user_id) for _ in range(2)]
    assert first == second
    assert first.status == "erasure_requested"
    assert (await staff.get("/admin/drivers/DRV404")).status_code == 404


async def test_bulk_tells_what_became_of_each(book: Container, staff: httpx.AsyncClient) -> None:
    await insured(book, staff, "DRV001")
    body = {"ids": ["DRV001", "DRV002", "DRV404", "DRV002"], "action": "deactivate"}
    first = (await staff.post("/admin/drivers/bulk", json=body)).json()
    assert [item["result"] for item in first["items"]] == ["refused", "done", "not_found"]
    again = (await staff.post("/admin/drivers/bulk", json=body)).json()
    assert [item["result"] for item in again["items"]] == ["refused", "unchanged", "not_found"]
    assert await ids(staff, status="inactive") == ["DRV002"]
    before = await value(book.database, "SELECT count(*) FROM risk_scores")
    scored = (await staff.post("/admin/drivers/bulk", json=body | {"action": "recalculate"})).json()
    assert [item["result"] for item in scored["items"]] == ["done", "done", "not_found"]
    assert await value(book.database, "SELECT count(*) FROM risk_scores") == before + 2
    many = await staff.post("/admin/drivers/bulk", json=body | {"ids": ["DRV001"] * 1001})
    assert many.status_code == 422
    assert (await staff.delete("/admin/drivers/DRV001", params={"mode": "deactivate"})).status_code == 409


async def test_one_identification_number_at_a_time(book: Container, staff: httpx.AsyncClient) -> None:
    """Whoever comes second at the same moment is told so, and it is no fault of the server."""
    for turn in range(5):
        vin = f"1HGCM82633A0043{turn:02}"
        vehicles = [f"/admin/vehicles/VEH-DRV00{number}" for number in (2, 3)]
        changed = await asyncio.gather(*(staff.patch(path, json={"vin": vin}) for path in vehicles))
        assert sorted(one.status_code for one in changed) == [200, 409]
        assert {one.json().get("code") for one in changed} == {None, "vin_taken"}
        new = {"make": "Honda", "model": "Accord", "year": 2019, "use": "commute", "vin": f"1HGCM82633A0053{turn:02}"}
        made = await asyncio.gather(*(staff.post("/drivers", json={"state": "IL", "vehicle": new}) for _ in range(3)))
        assert sorted(one.status_code for one in made) == [201, 409, 409]


async def test_vehicles_are_changed_and_removed_while_nothing_needs_them(
    book: Container, staff: httpx.AsyncClient
) -> None:
    vin = "1HGCM82633A004352"
    changed = await staff.patch("/admin/vehicles/VEH-DRV002", json={"vin": vin, "use": "business"})
    assert (changed.json()["vin"], changed.json()["use"]) == (vin, "business")
    taken = await staff.patch("/admin/vehicles/VEH-DRV003", json={"vin": vin})
    assert (taken.status_code, taken.json()["code"]) == (409, "vin_taken")
    assert await ids(staff, "/admin/vehicles", search=vin.lower()) == ["VEH-DRV002"]
    assert await ids(staff, "/admin/vehicles", driver_id="DRV003") == ["VEH-DRV003"]
    kept = await staff.delete("/admin/vehicles/VEH-DRV001")
    assert (kept.status_code, kept.json()["code"]) == (409, "vehicle_in_use")
    await insured(book, staff, "DRV003")
    assert (await staff.delete("/admin/vehicles/VEH-DRV003")).status_code == 409
    assert (await staff.delete("/admin/vehicles/VEH-DRV002")).status_code == 200
    assert (await staff.get("/admin/vehicles/VEH-DRV002")).status_code == 404


async def test_devices_are_assigned_handed_over_and_retired(book: Container, staff: httpx.AsyncClient) -> None:
    made = await staff.post("/admin/devices", json={"driver_id": "DRV002", "kind": "obd"})
    device_id = made.json()["device_id"]
    rotated = await staff.post(f"/admin/devices/{device_id}/rotate-key")
    assert rotated.json()["key"] != made.json()["key"]
    assert rotated.json()["driver_id"] == "DRV002"
    assert await ids(staff, "/admin/devices", driver_id="DRV002") == [device_id]
    retired = (await staff.post("/admin/devices/bulk/retire", json={"ids": [device_id, "DEV404"]})).json()
    assert [item["result"] for item in retired["items"]] == ["done", "not_found"]
    assert await ids(staff, "/admin/devices", status="retired") == [device_id]
    valid = "SELECT count(*) FROM device_keys WHERE device_id = :id AND revoked_at IS NULL"
    assert await value(book.database, valid, id=device_id) == 0
    assert (await staff.post(f"/admin/devices/{device_id}/rotate-key")).status_code == 404
    later = (TODAY + DAY).isoformat()
    back = await staff.post(f"/admin/devices/{device_id}/assign", json={"driver_id": "DRV003", "effective_from": later})
    assert back.status_code == 200, back.text
    assert (await staff.get(f"/admin/devices/{device_id}")).json()["driver_id"] == "DRV003"
    assert (await staff.delete(f"/admin/devices/{device_id}")).json()["status"] == "retired"
    assert (await staff.delete("/admin/devices/DEV404")).status_code == 404


async def test_a_trip_is_looked_at_and_not_edited(book: Container, staff: httpx.AsyncClient) -> None:
    found = await ids(staff, "/admin/trips", driver_id="DRV001", limit=3)
    assert len(found) == 3
    assert await ids(staff, "/admin/trips", search=found[0]) == [found[0]]
    assert found[0] in await ids(staff, "/admin/trips", search=found[0][:13])
    assert await ids(staff, "/admin/trips", search="xyz") == []
    assert len(await ids(staff, "/admin/trips", status="withdrawn")) == 1
    trip = (await staff.get(f"/admin/trips/{found[0]}")).json()
    assert trip["driver_id"] == "DRV001"
    assert not any("latitude" in name or "place" in name for name in trip)
    for method in ("PATCH", "PUT", "DELETE"):
        assert (await staff.request(method, f"/admin/trips/{found[0]}", json={})).status_code == 405


async def test_events_come_in_pages_without_gap_or_overlap(book: Container, staff: httpx.AsyncClient) -> None:
    stored = await value(book.database, "SELECT count(*) FROM telematics_events")
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 50, "from": (TODAY - DAY).isoformat(), "to": TODAY.isoformat()}
    while True:
        page = (await staff.get("/admin/events", params=params)).json()
        seen += [item["timestamp"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert len(seen) == stored > 100
    assert seen == sorted(seen, reverse=True)
    stats = (await staff.get("/admin/events/stats")).json()
    assert (stats["total_events"], stats["unique_drivers"]) == (stored, 1)
    assert sum(stats["event_types"].values()) == stored
    assert (await staff.get("/admin/events", params={"cursor": "x"})).json()["code"] == "bad_cursor"
    wide = {"from": "2026-05-01T00:00:00Z", "to": "2026-06-15T00:00:00Z"}
    assert (await staff.get("/admin/events", params=wide)).json()["code"] == "bad_window"


async def test_one_search_finds_all_kinds(book: Container, staff: httpx.AsyncClient) -> None:
    policy_id = await insured(book, staff, "DRV001")
    trip_id = (await ids(staff, "/admin/trips", driver_id="DRV002"))[0]
    for q, kind, found in (
        ("number5", "driver", "DRV005"),
        (policy_id.lower(), "policy", policy_id),
        ("veh-drv004", "vehicle", "VEH-DRV004"),
        ("DEV-1", "device", "DEV-1"),
        (trip_id, "trip", trip_id),
    ):
        hits = (await staff.get("/admin/search", params={"q": q})).json()["hits"]
        assert (kind, found) in {(hit["kind"], hit["id"]) for hit in hits}, q
        [url] = [hit["url"] for hit in hits if hit["id"] == found]
        assert (await staff.get(url.removeprefix("/api/v1"))).status_code == 200
    assert len((await staff.get("/admin/search", params={"q": "ada", "limit": 2})).json()["hits"]) == 2
    for q in ("%%", "''", "__", "\\\\", ":*"):
        assert (await staff.get("/admin/search", params={"q": q})).json()["hits"] == []
    assert (await staff.get("/admin/search", params={"q": "a"})).status_code == 422
