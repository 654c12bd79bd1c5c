from __future__ import annotations

from typing import Any

import pytest

from auto_insurance.identity.errors import InvalidDeviceKey
from tests.support.people import People

VIN = "1HGCM82633A004352"
CAR = {"make": "Honda", "model": "Accord", "year": 2019, "use": "commute", "vin": VIN}


@pytest.fixture
async def admin(people: People) -> str:
    return await people.token("admin", "admin123")


@pytest.fixture
async def driver(people: People) -> str:
    return await people.token("driver0001", "password0001")


async def test_enrolment_with_vehicle_and_login(people: People, admin: str) -> None:
    login = {"username": "newdriver", "email": "n@example.com", "password": "correct horse"}
    body = {"state": "IL", "full_name": "New Driver", "vehicle": CAR, "login": login, "contact": {"city": "Chicago"}}
    async with people.client(admin) as client:
        created = await client.post("/drivers", json=body)
        again = await client.post("/drivers", json={**body, "vehicle": None})
        vin = await client.post("/drivers", json={"state": "IL", "vehicle": CAR})
    view = created.json()
    assert created.status_code == 201
    assert (view["driver_id"], view["time_zone"], view["city"]) == ("DRV003", "America/New_York", "Chicago")
    assert (again.status_code, again.json()["errors"][0]["field"]) == (409, "username")
    assert (vin.status_code, vin.json()["code"]) == (409, "vin_taken")
    async with people.db.read() as uow:
        assert await people.drivers.count(uow) == 3, "what failed left nothing"
    async with people.client(await people.token("newdriver", "correct horse")) as client:
        assert (await client.get("/drivers/me")).json()["driver_id"] == "DRV003"
        assert (await client.get("/drivers/me/vehicles")).json()["items"][0]["vin"] == VIN


async def test_somebody_elses_driver_and_an_unknown_one_answer_alike(people: People, driver: str) -> None:
    async with people.client(driver) as client:
        for path in ("", "/vehicles", "/devices"):
            assert (await client.get(f"/drivers/me{path}")).status_code == 200
            assert (await client.get(f"/drivers/DRV001{path}")).status_code == 200
            bodies = []
            for driver_id in ("DRV002", "DRV999"):
                answer = await client.get(f"/drivers/{driver_id}{path}")
                assert answer.status_code == 404
                bodies.append({k: v for k, v in answer.json().items() if k != "request_id"})
            assert bodies[0] == bodies[1]


WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/drivers", {"state": "IL"}),
    ("POST", "/drivers/DRV001/vehicles", CAR),
    ("POST", "/drivers/DRV001/devices", {}),
    ("POST", "/drivers/DRV001/devices/DEV001/rotate-key", {}),
    ("DELETE", "/drivers/DRV001/devices/DEV001", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_what_only_staff_may_do(people: People, driver: str, method: str, path: str, body: Any) -> None:
    async with people.client(driver) as client:
        assert (await client.request(method, path, json=body)).status_code == 403
    async with people.client() as client:
        assert (await client.request(method, path, json=body)).status_code == 401


async def test_staff_hear_of_unknown_drivers(people: People, admin: str) -> None:
    async with people.client(admin) as client:
        for path in ("DRV999", "DRV999/vehicles", "DRV999/devices", "me"):
            assert (await client.get(f"/drivers/{path}")).status_code == 404
        assert (await client.post("/drivers/DRV999/vehicles", json=CAR)).status_code == 404
        assert (await client.post("/drivers/DRV999/devices", json={})).status_code == 404
        assert (await client.patch("/drivers/DRV999", json={"city": "x"})).status_code == 404
        assert (await client.delete("/drivers/DRV001/devices/none")).status_code == 404
        assert (await client.get("/drivers/DRV%00")).status_code == 422


async def test_contact_fields_and_nothing_else_can_be_changed(people: People, driver: str) -> None:
    async with people.client(driver) as client:
        changed = await client.patch("/drivers/me", json={"email": "me@example.com", "phone": "+1 555 0100"})
        cleared = await client.patch("/drivers/me", json={"phone": None})
        same = await client.patch("/drivers/me", json={})
        for field in ({"prior_claims": 0}, {"state": "NY"}, {"driver_id": "DRV002"}):
            assert (await client.patch("/drivers/me", json=field)).status_code == 422
    assert (changed.json()["email"], changed.json()["phone"]) == ("me@example.com", "+1 555 0100")
    assert (cleared.json()["email"], cleared.json()["phone"]) == ("me@example.com", None)
    assert same.json()["email"] == "me@example.com"


async def test_erasure_is_recorded_once_and_stops_new_links(people: People, driver: str, admin: str) -> None:
    async with people.client(driver) as client:
        first, second = await client.delete("/drivers/me"), await client.delete("/drivers/me")
        assert (await client.get("/drivers/me")).json()["status"] == "erasure_requested"
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json()
    async with people.client(admin) as client:
        assert (await client.post("/drivers/DRV001/vehicles", json=CAR)).json()["code"] == "erasure_pending"
        assert (await client.post("/drivers/DRV001/devices", json={})).status_code == 409


async def test_the_life_of_a_device(people: People, admin: str, driver: str) -> None:
    async with people.client(admin) as client:
        car = (await client.post("/drivers/DRV001/vehicles", json=CAR)).json()["vehicle_id"]
        made = await client.post("/drivers/DRV001/devices", json={"vehicle_id": car, "scopes": ["ingest", "import"]})
        other = await client.post("/drivers/DRV002/devices", json={"vehicle_id": car})
        rotated = await client.post("/drivers/DRV001/devices/DEV001/rotate-key")
        foreign = await client.post("/drivers/DRV002/devices/DEV001/rotate-key")
    assert (made.status_code, made.json()["device_id"]) == (201, "DEV001")
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "vehicle_id")
    assert foreign.status_code == 404
    assert rotated.json()["scopes"] == ["import", "ingest"]
    assert (await people.keys.check(rotated.json()["key"])).device_id == "DEV001"
    async with people.client(driver) as client:
        listed = await client.get("/drivers/me/devices?page_size=1")
    page = listed.json()
    assert (page["total"], page["items"][0]["scopes"]) == (1, ["import", "ingest"])
    assert page["items"][0]["last_used_at"] is not None
    assert rotated.json()["key"] not in listed.text
    async with people.client(admin) as client:
        assert (await client.delete("/drivers/DRV001/devices/DEV001")).json()["status"] == "retired"
        assert (await client.delete("/drivers/DRV001/devices/DEV001")).status_code == 404
        item = (await client.get("/drivers/DRV001/devices")).json()["items"][0]
    assert item["retired_at"] is not None
    assert item["scopes"] == []


async def test_a_rotation_may_overlap_and_the_keys_can_be_listed(people: People, admin: str, driver: str) -> None:
    async with people.client(admin) as client:
        first = (await client.post("/drivers/DRV001/devices", json={})).json()
        device = f"/drivers/DRV001/devices/{first['device_id']}"
        kept = (await client.post(f"{device}/rotate-key", json={"grace_s": 600})).json()
        assert (await people.keys.check(first["key"])).device_id == first["device_id"], "both work for ten minutes"
        too_long = await client.post(f"{device}/rotate-key", json={"grace_s": 7 * 86_400 + 1})
        assert (too_long.status_code, too_long.json()["errors"][0]["field"]) == (422, "body.grace_s")
        now = (await client.post(f"{device}/rotate-key")).json()
        for ended in (first, kept):
            with pytest.raises(InvalidDeviceKey):
                await people.keys.check(ended["key"])
        await people.keys.check(now["key"])
        listed = await client.get(f"{device}/keys")
        assert (await client.get(f"/drivers/DRV002/devices/{first['device_id']}/keys")).status_code == 404
    items = listed.json()["items"]
    assert [item["prefix"] for item in items] == [key["key"][:10] for key in (now, kept, first)]
    assert [item["ends_at"] is None for item in items] == [True, False, False]
    assert not any(key["key"] in listed.text for key in (now, kept, first))
    async with people.client(driver) as client:
        assert (await client.get(f"/drivers/me/devices/{first['device_id']}/keys")).status_code == 403
