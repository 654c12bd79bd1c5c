"""Wrong input at the real HTTP server: each gets its clear answer, and the rest of the upload is stored."""

from __future__ import annotations

import gzip
import itertools
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest

from auto_insurance.kernel import clock
from auto_insurance.telematics.schemas import Quality
from tests.support.driving import Event, day_out, event_of
from tests.support.system import System
from tests.support.trips import Drive

_numbers = itertools.count(1)
BATCH = "/telematics/events/batch"


@dataclass
class Sender:
    """A device of its own on the shared system, and one good event after another."""

    system: System
    device_id: str = field(default_factory=lambda: f"wrong-{next(_numbers)}")
    key: str = ""

    def __post_init__(self) -> None:
        self.driver_id = self.system.enrol()
        self.key = self.system.device(self.driver_id, self.device_id, scopes=["ingest"])

    def good(self, number: int, **fields: Any) -> Event:
        at = clock.now() - timedelta(hours=2) + timedelta(seconds=number)
        return {
            "device_id": self.device_id,
            "event_id": f"good-{number}",
            "timestamp": at.isoformat(),
            "latitude": 41.25,
            "longitude": -96.0,
            "speed": 0.0,
        } | fields

    def post(self, content: bytes, **headers: str) -> httpx.Response:
        given = {"X-Device-Key": self.key, "Content-Type": "application/json"} | headers
        return self.system.http.post(BATCH, content=content, headers=given)

    def stored_ids(self) -> set[str]:
        self.system.wait_settled()
        return {event_id for _, _, event_id in self.system.stored([self.device_id])}


@pytest.fixture
def sender(shared_system: System) -> Sender:
    """A device of the test's own."""
    return Sender(shared_system)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["detail"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body


def ahead(**delta: float) -> str:
    return (clock.now() + timedelta(**delta)).isoformat()


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "latitude beyond the pole": ({"latitude": 91.0}, "latitude", "invalid_coordinates"),
    "longitude beyond the date line": ({"longitude": -180.5}, "longitude", "invalid_coordinates"),
    "only one coordinate": ({"longitude": None}, "longitude", "incomplete_position"),
    "clock a day ahead": ({"timestamp": ahead(days=1)}, "timestamp", "timestamp_in_future"),
    "older than 30 days": ({"timestamp": ahead(days=-31)}, "timestamp", "too_old"),
    "seconds sent as milliseconds": ({"timestamp": 1_767_600_000}, "timestamp", "invalid_timestamp"),
    "time without an offset": ({"timestamp": "2026-01-05T08:00:00"}, "timestamp", "invalid_timestamp"),
    "no time": ({"timestamp": None}, "timestamp", "missing_field"),
    "text for a speed": ({"speed": "fast"}, "speed", "wrong_type"),
    "speed of an aeroplane": ({"speed": 500.0}, "speed", "out_of_range"),
    "unknown type": ({"event_type": "teleport"}, "event_type", "unknown_event_type"),
    "foreign device": ({"device_id": "somebody-elses"}, "device_id", "foreign_device"),
    "foreign driver": ({"driver_id": "DRV999999"}, "driver_id", "driver_mismatch"),
    "a megabyte of extra": ({"extra": {"note": "x" * 1_000_000}}, "extra", "invalid_extra"),
    "a megabyte of event id": ({"event_id": "x" * 1_000_000}, "event_id", "invalid_event_id"),
}


def test_each_wrong_event_is_named_with_field_and_reason_and_the_rest_is_stored(sender: Sender) -> None:
    events: list[Any] = []
    for number, (fields, _, _) in enumerate(WRONG.values()):
        events += [sender.good(number), sender.good(number, event_id=f"bad-{number}") | fields]
    events += ["not an object", sender.good(len(WRONG))]
    answer = sender.system.send(sender.key, events)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert body["accepted"] == len(WRONG) + 1
    assert body["rejected"] == len(WRONG) + 1
    refused = {result["index"]: result for result in body["results"]}
    for number, (name, (_, where, code)) in enumerate(WRONG.items()):
        result = refused.pop(2 * number + 1)
        assert result["status"] == "rejected"
        assert [(r["field"], r["code"]) for r in result["reasons"]] == [(where, code)], name
        assert result["reasons"][0]["message"]
    assert [r["reasons"][0]["code"] for r in refused.values()] == ["not_an_object"]
    assert sender.stored_ids() == {f"good-{number}" for number in range(len(WRONG) + 1)}
    health = sender.system.http.get(f"/telematics/devices/{sender.device_id}/health").json()
    assert health["rejected_last_24h"] in {0, len(WRONG) + 1}, "counted some seconds later"


def test_one_wrong_event_alone_names_its_field(sender: Sender) -> None:
    event = sender.good(1, latitude=95.0, speed=-1.0)
    answer = sender.system.http.post("/telematics/events", json=event, headers={"X-Device-Key": sender.key})
    body = problem(answer, 422, "event_rejected")
    assert {(error["field"], error["code"]) for error in body["errors"]} == {
        ("latitude", "invalid_coordinates"),
        ("speed", "out_of_range"),
    }


@pytest.mark.parametrize("content", [b"", b"{", b'{"events": [', b'{"events": [{]}', b"\xff\xfe", b"[" * 100_000])
def test_malformed_json(sender: Sender, content: bytes) -> None:
    problem(sender.post(content), 400, "malformed_json")


@pytest.mark.parametrize("content", [b"null", b"[]", b"17", b'{"events": 3}', b"{}"])
def test_json_of_another_shape(sender: Sender, content: bytes) -> None:
    assert problem(sender.post(content), 422, "invalid_upload")["errors"][0]["field"] == "body.events"


def test_5001_events_are_too_many_and_5000_are_not(sender: Sender) -> None:
    start = clock.now() - timedelta(hours=3)
    events = [
        {"device_id": sender.device_id, "event_id": str(i), "timestamp": (start + timedelta(seconds=i)).isoformat()}
        for i in range(5001)
    ]
    body = problem(sender.system.send(sender.key, events), 413, "too_many_events")
    assert "5000" in body["detail"].replace(",", "")
    assert sender.system.send(sender.key, events[:5000]).json()["accepted"] == 5000
    assert len(sender.stored_ids()) == 5000


def test_ten_megabytes_of_one_field_plain_or_packed(sender: Sender) -> None:
    ten = sender.good(1, extra={"note": "x" * 10 * 1024 * 1024})
    answer = sender.post(json.dumps({"events": [ten, sender.good(2)]}).encode())
    assert answer.status_code == 202, answer.text
    [refused] = answer.json()["results"]
    assert (answer.json()["accepted"], refused["index"]) == (1, 0)
    assert [(reason["code"], reason["field"]) for reason in refused["reasons"]] == [("invalid_extra", "extra")]


def test_more_than_a_batch_may_hold_plain_or_packed(sender: Sender) -> None:
    body = json.dumps({"events": [sender.good(1, extra={"note": "x" * 17 * 1024 * 1024})]}).encode()
    problem(sender.post(body), 413, "body_too_large")
    packed = gzip.compress(body)
    assert len(packed) < 40_000
    problem(sender.post(packed, **{"Content-Encoding": "gzip"}), 413, "body_too_large")
    pieces = (body[i : i + 65_536] for i in range(0, len(body), 65_536))  # no Content-Length
    headers = {"X-Device-Key": sender.key, "Content-Type": "application/json"}
    problem(sender.system.http.post(BATCH, content=pieces, headers=headers), 413, "body_too_large")


def test_a_gzip_bomb_and_what_is_no_gzip(sender: Sender) -> None:
    bomb = gzip.compress(b"\0" * (256 * 1024 * 1024), compresslevel=9)
    problem(sender.post(bomb, **{"Content-Encoding": "gzip"}), 413, "body_too_large")
    problem(sender.post(b"no gzip at all", **{"Content-Encoding": "gzip"}), 400, "corrupt_body")
    problem(sender.post(gzip.compress(b'{"events": []}')[:-4], **{"Content-Encoding": "gzip"}), 400, "corrupt_body")
    problem(sender.post(b"{}", **{"Content-Encoding": "br"}), 415, "unsupported_encoding")
    good = gzip.compress(json.dumps({"events": [sender.good(1)]}).encode())
    assert sender.post(good, **{"Content-Encoding": "gzip"}).json()["accepted"] == 1


@pytest.mark.parametrize(
    "headers", [{}, {"X-Device-Key": ""}, {"X-Device-Key": "not-a-key"}, {"X-Device-Key": "k" * 9000}]
)
def test_without_a_right_key(sender: Sender, headers: dict[str, str]) -> None:
    with httpx.Client(base_url=f"{sender.system.base_url}/api/v1", trust_env=False) as client:
        answer = client.post(BATCH, json={"events": [sender.good(1)]}, headers=headers)
        assert answer.status_code == 401, answer.text
        assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert sender.stored_ids() == set()


def test_import_needs_its_scope_and_then_takes_any_age(sender: Sender) -> None:
    old = sender.good(1, timestamp="2019-05-23T20:54:11+00:00")
    problem(sender.system.send(sender.key, [old], importing=True), 403, "scope_missing")
    other = f"{sender.device_id}-import"
    key = sender.system.device(sender.driver_id, other, scopes=["import"])
    assert sender.system.send(key, [old | {"device_id": other}], importing=True).json()["accepted"] == 1
    sender.system.wait_settled()
    assert len(sender.system.stored([other])) == 1


def test_positions_that_contradict_the_speed_are_stored_flagged_and_invent_no_miles(sender: Sender) -> None:
    start_us = clock.to_us(clock.now() - timedelta(hours=4))
    honest = day_out(sender.device_id, start_us)
    jumps = [dict(event) for event in honest]
    for number in range(60, 180, 20):  # 55 km off for one second
        jumps[number]["latitude"] += 0.5
    twin = Sender(sender.system)
    assert sender.system.send(sender.key, jumps).json()["accepted"] == len(jumps)
    copies = [event | {"device_id": twin.device_id} for event in honest]
    assert sender.system.send(twin.key, copies).json()["accepted"] == len(copies)
    assert len(sender.stored_ids()) == len(jumps), "doubtful samples are stored"
    flagged = sender.system.value(
        "SELECT count(*) FROM telematics_events WHERE device_id = $1 AND quality & $2 <> 0",
        sender.device_id,
        int(Quality.IMPLIED_SPEED),
    )
    assert flagged == 6
    miles = {
        who.device_id: [
            trip["distance_miles"] for trip in sender.system.http.get(f"/drivers/{who.driver_id}/trips").json()["items"]
        ]
        for who in (sender, twin)
    }
    assert len(miles[twin.device_id]) == 2
    assert miles[sender.device_id] == pytest.approx(miles[twin.device_id], rel=0.01)


def test_points_at_zero_and_of_bad_accuracy_invent_no_miles(sender: Sender) -> None:
    drive = Drive(device_id=sender.device_id, t_us=clock.to_us(clock.now() - timedelta(hours=4)))
    drive.stand(300)

    events = [event_of(sample) for sample in drive.samples]
    for number, event in enumerate(events):
        if number % 10 == 3:
            event |= {"latitude": 0.0, "longitude": 0.0}
        elif number % 10 == 7:
            event |= {"latitude": 41.5, "gps_accuracy": 900.0}
    assert sender.system.send(sender.key, events).json()["accepted"] == len(events)
    assert len(sender.stored_ids()) == len(events)
    assert sender.system.http.get(f"/drivers/{sender.driver_id}/trips").json()["total"] == 0
