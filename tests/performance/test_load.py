"""Many people at once: nobody is turned away. How fast they are served is the benchmarks' business."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from benchmarks import client

from tests.support.system import System, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
LOCUSTFILE = Path(__file__).with_name("locustfile.py")
USERS, SPAWN_RATE, RUN_S = 100, 10, 30
REQUESTS, AT_ONCE = 1000, 100


@pytest.fixture
def demo(demo_api: System) -> System:
    """The demo as its people find it once they are there."""
    wait_for(lambda: _is_there(demo_api), "the demo's first driver", 60)
    return demo_api


def _is_there(system: System) -> bool:
    with suppress(httpx.TransportError):
        return _login(system).status_code == 200
    return False


def _login(system: System) -> httpx.Response:
    return system.http.post("/auth/login", json={"username": "driver0001", "password": "password0001"})


def test_a_hundred_people_look_around_and_nobody_fails(demo: System, tmp_path: Path) -> None:
    """The portal's mix for half a minute, as the load test's own command runs it."""
    options = (
        f"--headless --users={USERS} --spawn-rate={SPAWN_RATE} --run-time={RUN_S}s --stop-timeout=10 --only-summary"
    )
    argv = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), f"--host={demo.base_url}", *options.split()]
    found = subprocess.run(
        [*argv, f"--csv={tmp_path / 'load'}"], capture_output=True, text=True, timeout=RUN_S + 90, check=False
    )
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
    with (tmp_path / "load_stats.csv").open() as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    assert {name: row["Failure Count"] for name, row in rows.items()} == dict.fromkeys(rows, "0")
    paths = ("/auth/login", "/drivers/me", "/risk/me/score", "/drivers/me/trips?page=1&page_size=20")
    assert {f"/api/v1{path}" for path in paths} <= set(rows)
    assert int(rows["/api/v1/auth/login"]["Request Count"]) == USERS, "everybody came"
    assert int(rows["Aggregated"]["Request Count"]) > 2 * USERS, "and looked around"


def test_a_thousand_requests_a_hundred_at_once(demo: System) -> None:
    """What `ab -n 1000 -c 100 -H "Authorization: Bearer $TOKEN" .../drivers/DRV001` asks; none fails."""
    token = _login(demo).json()["access_token"]
    ask = client.request("GET", "/api/v1/drivers/DRV001", headers={"Authorization": f"Bearer {token}"})
    rate = client.run_once(demo.port, [ask] * REQUESTS, clients=AT_ONCE, expected=200)
    assert rate.requests == REQUESTS
    assert json.loads(demo.http.get("/drivers/DRV001", headers={"Authorization": f"Bearer {token}"}).text)
