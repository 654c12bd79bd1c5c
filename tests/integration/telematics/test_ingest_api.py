"""The door: truthful per-event answers, 202 only after the append, nobody speaks for others."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import Any

import pytest

from auto_insurance.drivers.schemas import DeviceAssign
from auto_insurance.infra import metrics
from auto_insurance.kernel import clock
from tests.integration.telematics.conftest import Door

BATCH, ONE = "/telematics/events/batch", "/telematics/events"


def event(seconds: float = -10, **fields: Any) -> dict[str, Any]:
    at = clock.now() + timedelta(seconds=seconds)
    return {"device_id": "D1", "timestamp": at.isoformat(), "latitude": 41.0, "longitude": -87.0} | fields


def counted(status: str) -> float:
    labels = {"source": "http", "status": status}
    return metrics.REGISTRY.get_sample_value("events_ingested_total", labels) or 0.0


async def test_every_bad_event_gets_its_reason_and_the_rest_is_stored(door: Door) -> None:
    before = counted("accepted"), counted("rejected")
    events: list[Any] = [
        event(),
        event(-9, latitude=95),
        event(-8, device_id="D2"),
        event(86_400),
        event(-7, driver_id="DRV002"),
        event(-6, driver_id="DRV001"),
        event(-5, event_id="x" * 10_000_000),
        "nonsense",
        event(-4, speed="fast"),
        event(-40 * 86_400),
    ]
    async with door.client(key="D1") as client:
        answer = await client.post(BATCH, json={"events": events})
    body = answer.json()
    assert (answer.status_code, body["accepted"], body["rejected"]) == (202, 2, 8)
    assert [(r["index"], r["reasons"][0]["code"]) for r in body["results"]] == [
        (1, "invalid_coordinates"),
        (2, "foreign_device"),
        (3, "timestamp_in_future"),
        (4, "driver_mismatch"),
        (6, "invalid_event_id"),
        (7, "not_an_object"),
        (8, "wrong_type"),
        (9, "too_old"),
    ]
    assert len(answer.content) < 5_000
    assert len(await door.work()) == 2
    assert (counted("accepted"), counted("rejected")) == (before[0] + 2, before[1] + 8)


async def test_resending_adds_nothing_and_verbose_lists_all(door: Door) -> None:
    upload = json.dumps({"events": [event(-n) for n in range(1, 4)]}).encode()
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with door.client(key="D1") as client:
        first = (await client.post(f"{BATCH}?verbose=true", content=gzip.compress(upload), headers=headers)).json()
        again = (await client.post(f"{BATCH}?verbose=true", content=upload)).json()
        empty = (await client.post(BATCH, json={"events": []})).json()
    assert first == again
    assert [r["status"] for r in first["results"]] == ["accepted"] * 3
    assert all(len(r["event_id"]) == 11 for r in first["results"])
    assert empty == {"accepted": 0, "rejected": 0, "results": []}
    assert len(await door.work()) == 3


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b'{"events": [1,}', 400, "malformed_json"),
        (b"[]", 422, "invalid_upload"),
        (b"{}", 422, "invalid_upload"),
        (b'{"events": 5}', 422, "invalid_upload"),
        (b'{"events": [' + b"1," * 5000 + b"1]}", 413, "too_many_events"),
        (b"[" * 200_000, 400, "malformed_json"),
    ],
)
async def test_an_upload_that_is_none_is_refused_as_a_whole(door: Door, body: bytes, status: int, code: str) -> None:
    async with door.client(key="D1") as client:
        answer = await client.post(BATCH, content=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert door.log.records == []


async def test_a_full_log_is_a_503_that_claims_nothing(door: Door) -> None:
    before = counted("accepted")
    door.log.full = True
    async with door.client(key="D1") as client:
        answer = await client.post(BATCH, json={"events": [event()]})
        single = await client.post(ONE, json=event())
    for found in (answer, single):
        assert (found.status_code, found.headers["Retry-After"]) == (503, "7")
        assert found.json()["code"] == "event_log_full"
    assert counted("accepted") == before


async def test_a_large_upload_becomes_several_records_in_one_append(door: Door) -> None:
    extra = {"note": "x" * 1000}
    events = [event(-n / 10, extra=extra) for n in range(1500)]
    async with door.client(key="D1") as client:
        answer = await client.post(BATCH, json={"events": events}, headers={"X-Request-ID": "req-1"})
    assert answer.json()["accepted"] == 1500
    assert door.log.calls == 1
    assert len(door.log.records) == 4
    assert all(len(record.value) <= 512 * 1024 and record.key == "D1" for record in door.log.records)
    headers = door.log.records[0].headers
    assert (headers["source"], headers["scope"], headers["request_id"]) == ("http", "ingest", "req-1")


async def test_one_event(door: Door) -> None:
    async with door.client(key="D1") as client:
        good = await client.post(ONE, json=event(event_id="e1"))
        bad = await client.post(ONE, json=event(speed=-1, heading=999))
        broken = await client.post(ONE, content=b"{")
        foreign = await client.post(ONE, json=event(device_id="D2"))
    assert (good.status_code, good.json()) == (202, {"event_id": "e1", "status": "accepted"})
    assert bad.status_code == 422
    assert [error["field"] for error in bad.json()["errors"]] == ["speed", "heading"]
    assert broken.status_code == 400
    assert foreign.json()["errors"][0]["code"] == "foreign_device"


async def test_import_needs_its_scope_and_takes_any_age(door: Door) -> None:
    old = event(device_id="OLD") | {"timestamp": "2019-05-23T20:54:11+00:00"}
    async with door.client(key="D1") as client:
        refused = await client.post(f"{BATCH}?mode=import", json={"events": [old]})
    async with door.client(key="OLD") as client:
        live = await client.post(BATCH, json={"events": [old]})
        taken = await client.post(f"{BATCH}?mode=import", json={"events": [old]})
        odd = await client.post(f"{BATCH}?mode=else", json={"events": [old]})
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert live.status_code == 403
    assert taken.json()["accepted"] == 1
    assert odd.status_code == 422
    assert door.log.records[0].headers["scope"] == "import"


async def test_a_driver_speaks_for_the_own_devices_only(door: Door) -> None:
    token = await door.people.token("driver0001", "password0001")
    events = [event(), event(-9, device_id="D2"), event(-8, device_id="unknown"), event(-7, driver_id="DRV002")]
    async with door.client(token) as client:
        body = (await client.post(BATCH, json={"events": events})).json()
    assert [(r["index"], r["reasons"][0]["code"]) for r in body["results"]] == [
        (1, "foreign_device"),
        (2, "foreign_device"),
        (3, "driver_mismatch"),
    ]
    async with door.client() as client:
        assert (await client.post(BATCH, json={"events": events})).status_code == 401


async def test_a_hand_over_counts_at_once_and_by_the_events_time(door: Door) -> None:
    async with door.client(key="D1") as client:
        assert (await client.post(ONE, json=event(driver_id="DRV001"))).status_code == 202  # now in the cache
    now = clock.now()
    async with door.people.db.begin() as uow:
        wanted = DeviceAssign(device_id="D1", effective_from=now)
        issued = await door.people.drivers.assign_device(uow, "DRV002", wanted)
    door.keys["D1"] = issued.key.get_secret_value()
    async with door.client(key="D1") as client:
        new = await client.post(ONE, json=event(30, driver_id="DRV002"))
        late = await client.post(ONE, json=event(-60, driver_id="DRV001"))
        wrong = await client.post(ONE, json=event(-60, driver_id="DRV002"))
    assert [answer.status_code for answer in (new, late, wrong)] == [202, 202, 422]


async def test_health_tells_silence_clock_and_refusals(door: Door) -> None:
    async with door.client(key="D1") as client:
        await client.post(BATCH, json={"events": [event(-100), event(-40), event(-5, latitude=99)]})
        await client.post(BATCH, json={"events": [event(-12), event(-11, device_id="D2")]})
    assert await door.contacts.flush() == 1
    assert await door.contacts.flush() == 0
    token = await door.people.token("driver0001", "password0001")
    staff = await door.people.token("admin", "admin123")
    async with door.client(token) as client:
        health = (await client.get("/telematics/devices/D1/health")).json()
        assert (await client.get("/telematics/devices/D2/health")).status_code == 404
        assert (await client.get("/telematics/devices/none/health")).status_code == 404
    assert (health["status"], health["rejected_last_24h"], health["driver_id"]) == ("healthy", 2, "DRV001")
    assert 11.5 < health["clock_offset_s"] < 30
    async with door.client(staff) as client:
        never = (await client.get("/telematics/devices/D2/health")).json()
    assert never["status"] == "offline"
    assert never["last_seen"] is None
    assert never["clock_offset_s"] is None


async def test_health_of_a_device_that_wrote_to_the_log_itself(door: Door) -> None:
    async with door.client(key="D1") as client:
        await client.post(ONE, json=event())
    await door.work()
    staff = await door.people.token("admin", "admin123")
    async with door.client(staff) as client:
        for hours, status in ((0, "healthy"), (25, "stale"), (73, "offline")):
            with clock.use_clock(clock.FrozenClock(clock.now() + timedelta(hours=hours))):
                from auto_insurance.identity.schemas import Principal
                from auto_insurance.kernel.ids import new_uuid
                from auto_insurance.telematics.service import DeviceHealthService

                principal = Principal(user_id=new_uuid(), username="a", roles=frozenset({"admin"}))
                async with door.people.db.read() as uow:
                    found = await DeviceHealthService(door.people.drivers).get(uow, principal, "D1")
                assert found.status == status
        span = {"from": event(-60)["timestamp"], "to": event(0)["timestamp"]}
        stored = await client.get("/telematics/devices/D1/event-count", params=span)
        assert stored.json()["count"] == 1
        wide = await client.get("/telematics/devices/D1/event-count", params=span | {"from": "2020-01-01T00:00:00Z"})
        assert wide.json()["code"] == "wrong_range"
