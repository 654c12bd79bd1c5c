from __future__ import annotations

import asyncio
import stat
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from auto_insurance.entrypoints.cli import scrape
from auto_insurance.entrypoints.cli.demo import DemoState, Staff, Watch
from auto_insurance.entrypoints.cli.scrape import Scrape
from auto_insurance.kernel.clock import FrozenClock, use_clock

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
TEXT = f"""# TYPE events_stored_total counter
events_stored_total 120.0
# TYPE kafka_consumer_lag_messages gauge
kafka_consumer_lag_messages{{topic="{TELEMATICS_EVENTS}",partition="0",consumer_group="g"}} 3.0
kafka_consumer_lag_messages{{topic="{TELEMATICS_EVENTS}",partition="1",consumer_group="g"}} 4.0
kafka_consumer_lag_messages{{topic="trips",partition="0",consumer_group="r"}} 9.0
# TYPE event_end_to_end_seconds histogram
event_end_to_end_seconds_bucket{{le="+Inf"}} 120.0
event_end_to_end_seconds_sum 30.0
event_end_to_end_seconds_count 120.0
"""


def summary(**fields: Any) -> dict[str, Any]:
    return {
        "driver_id": "DRV001",
        "total_trips": 2,
        "total_miles": 12.5,
        "risk_score": None,
        "confidence": None,
        "indicated_monthly_premium": None,
        "monthly_premium": 101.6,
        "trips_in_progress": 0,
        **fields,
    }


def test_the_state_survives_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    state = DemoState.load(tmp_path / "demo")
    assert (state.keys, state.sent_until) == ({}, {})
    state.keys["SIM-001"], state.sent_until["SIM-001"] = "k", NOON
    state.save()
    again = DemoState.load(tmp_path / "demo")
    assert (again.keys, again.sent_until) == ({"SIM-001": "k"}, {"SIM-001": NOON})
    assert stat.S_IMODE(again.file.stat().st_mode) == 0o600
    assert [file.name for file in (tmp_path / "demo").iterdir()] == ["demo.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"keys": {}}', '{"keys": {"a": "b"}, "sent_until": {"a": "no date"}}']
)
def test_a_damaged_state_is_a_new_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "demo.json").write_text(text)
    state = DemoState.load(tmp_path)
    assert (state.keys, state.sent_until) == ({}, {})


def test_rows_say_what_a_driver_does(tmp_path: Path) -> None:
    state = DemoState(tmp_path / "demo.json")
    driver = SimpleNamespace(name="Ada", style=SimpleNamespace(name="calm"))
    watch = Watch([driver], ["SIM-001"], state)
    with use_clock(FrozenClock(NOON)):
        assert watch.rows([summary()])[0].status == "waiting"
        state.sent_until["SIM-001"] = NOON - timedelta(seconds=10)
        assert watch.rows([summary(trips_in_progress=1)])[0].status == "driving"
        assert watch.rows([summary()])[0].status == "parked, Mon 11:59"
        state.sent_until["SIM-001"] = NOON - timedelta(days=2)
        [row] = watch.rows([summary(trips_in_progress=1, risk_score=30.0, indicated_monthly_premium="99.5")])
    assert row.status == "driving, Sat 12:00"
    assert (row.driver, row.premium_charged, row.premium_indicated) == ("DRV001 Ada", Decimal("101.6"), Decimal("99.5"))


def test_counters_are_rates_between_two_looks(tmp_path: Path) -> None:
    watch = Watch([], [], DemoState(tmp_path / "demo.json"))
    first = watch.counters(Scrape(10.0, events_stored=100, lag=5, end_to_end_sum=1.0, end_to_end_count=100))
    assert (first.events_stored, first.events_per_second, first.end_to_end_s) == (100, 0.0, None)
    second = watch.counters(Scrape(12.0, events_stored=300, lag=0, end_to_end_sum=3.0, end_to_end_count=120))
    assert (second.events_per_second, second.lag) == (100.0, 0)
    assert second.end_to_end_s == pytest.approx(0.1)


def test_a_scrape_adds_up_over_partitions_and_processes() -> None:
    found = scrape.parse(TEXT)
    assert (found.events_stored, found.lag) == (120, 7)
    assert (found.end_to_end_sum, found.end_to_end_count) == (30, 120)
    assert scrape.parse("").events_stored == 0


class Api:
    """Answers as the API does."""

    def __init__(self) -> None:
        self.tokens, self.devices, self.refused = 0, {"SIM-002"}, 1

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/auth/login":
            if self.refused:
                self.refused -= 1
                return httpx.Response(401)
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"t{self.tokens}"})
        if path.endswith("/rotate-key"):
            return httpx.Response(200, json={"key": "rotated"})
        if path.endswith("/devices"):
            taken = b"SIM-002" in request.content
            return httpx.Response(409) if taken else httpx.Response(201, json={"key": "fresh"})
        if path.endswith("/summary") and request.headers["Authorization"] == "Bearer t1":
            return httpx.Response(401)
        return httpx.Response(200, json=summary(driver_id=path.split("/")[2]))


async def test_staff_signs_in_again_and_replaces_lost_keys(tmp_path: Path) -> None:
    api = Api()
    state = DemoState(tmp_path / "demo.json", keys={"SIM-003": "kept"})
    async with httpx.AsyncClient(transport=httpx.MockTransport(api), base_url="http://test") as client:
        staff = Staff(client)
        await asyncio.wait_for(staff.ready(asyncio.Event()), 5)
        await staff.ensure_devices(state, ["SIM-001", "SIM-002", "SIM-003"], NOON)
        found = await staff.summaries(2)
    assert state.keys == {"SIM-001": "fresh", "SIM-002": "rotated", "SIM-003": "kept"}
    assert DemoState.load(tmp_path).keys == state.keys
    assert [item["driver_id"] for item in found] == ["DRV001", "DRV002"]
    assert api.tokens == 2


async def test_each_driver_without_a_policy_gets_one() -> None:
    asked: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.raw_path.decode()))
        if request.method == "GET":
            return httpx.Response(200, json={"items": [{"driver_id": "DRV002"}]})
        driver = request.url.params.get("driver_id")
        return httpx.Response(201, json={"quote_id": f"QUO-{driver}"} if driver else {"policy_id": "POL-000001"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://test") as client:
        await Staff(client).ensure_policies(3)
    assert asked == [
        ("GET", "/policies?page_size=100"),
        ("POST", "/quotes?driver_id=DRV001"),
        ("POST", "/quotes/QUO-DRV001/bind"),
        ("POST", "/quotes?driver_id=DRV003"),
        ("POST", "/quotes/QUO-DRV003/bind"),
    ]


async def test_staff_does_not_wait_once_told_to_stop() -> None:
    stop = asyncio.Event()
    stop.set()
    async with httpx.AsyncClient(transport=httpx.MockTransport(Api()), base_url="http://test") as client:
        await asyncio.wait_for(Staff(client).ready(stop), 1)
