"""`auto-insurance up --demo` as a newcomer meets it: ready, signed in, a fleet that drives, gone without a trace."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from auto_insurance.infra.embedded.machine import free_port
from tests.support.system import ADMIN_PASSWORD, Service, all_gone, scratch_folder, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]
READY_WITHIN_S = 90.0
DRIVERS = 20


class Up:
    """A running `up` and a client on its API."""

    def __init__(self, folder: Path, port: int, *options: str, **settings: str) -> None:
        argv = ["up", "--no-tui", "--port", str(port), "--data-dir", str(folder / "data"), *options]
        self.base_url = f"http://127.0.0.1:{port}"
        began = time.monotonic()
        self.service = Service("up", argv, {"TRIP_SETTLE_S": "1", **settings}, folder)
        self.http = httpx.Client(base_url=f"{self.base_url}/api/v1", timeout=20.0, trust_env=False)
        try:
            wait_for(self._ready_or_gone, "ready", READY_WITHIN_S)
            assert self.service.alive, self.service.said
        except BaseException:
            self.close()
            raise
        self.seconds = time.monotonic() - began

    def _ready_or_gone(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.http.get(f"{self.base_url}/ready").status_code == 200
        return not self.service.alive

    def login(self, username: str, password: str) -> int:
        """Sign in; return the status."""
        answer = self.http.post("/auth/login", json={"username": username, "password": password})
        if answer.status_code == 200:
            self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer.status_code

    def get(self, path: str) -> Any:
        return self.http.get(path).raise_for_status().json()

    def ctrl_c(self) -> float:
        """Press Ctrl-C; check that nothing is left; return the seconds it took."""
        family = self.service.family()
        assert len(family) >= 6, "up, PostgreSQL, Valkey, api, worker, scheduler"
        began = time.monotonic()
        self.service.interrupt()
        assert self.service.wait(60) == 0, self.service.said
        seconds = time.monotonic() - began
        assert all_gone(family), family
        self.http.close()
        return seconds

    def close(self) -> None:
        self.http.close()
        if self.service.alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                family = self.service.family()
                self.service.stop(60)
                all_gone(family)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the data are kept over restarts."""
    with scratch_folder("ai-up-") as path:
        yield path


def driver_trips(up: Up, driver_id: str = "me", *, completed: bool = False) -> set[str]:
    """Return the driver's trips. One that ended may be under way again: what comes soon enough goes on with it."""
    found: dict[str, Any] = up.get(f"/drivers/{driver_id}/trips?page_size=100")
    return {trip["trip_id"] for trip in found["items"] if trip["status"] == "completed" or not completed}


def prices(up: Up) -> dict[str, tuple[str, str | None]]:
    """Return charged and indicated premium of each demo driver."""
    found = {}
    for number in range(1, DRIVERS + 1):
        current = up.get(f"/pricing/DRV{number:03d}/current")
        indicated = current["indicated"]
        found[current["driver_id"]] = (
            str(current["monthly_premium"]),
            None if indicated is None else str(indicated["monthly_premium"]),
        )
    return found


def test_a_newcomer_runs_the_demo(folder: Path) -> None:
    port = free_port()
    up = Up(folder, port, "--demo")
    try:
        print(f"ready after {up.seconds:.1f} s")  # noqa: T201
        index = httpx.get(up.base_url, follow_redirects=True, timeout=10.0, trust_env=False)
        assert (index.status_code, index.url.path) == (200, "/docs")
        wait_for(lambda: up.login("admin", "admin123") == 200, "the administrator", 30)
        assert up.get("/auth/me")["is_admin"]
        wait_for(lambda: up.http.get(f"/drivers/DRV{DRIVERS:03d}").status_code == 200, "the drivers", 60)
        wait_for(lambda: up.get("/policies")["total"] == DRIVERS, "a policy for each driver", 60)
        wait_for(lambda: _insured(up), "a policy for each of them", 120, every_s=1.0)
        before = prices(up)
        _watch_the_fleet(up, before)
        assert up.login("driver0001", "password0001") == 200
        me = up.get("/auth/me")
        assert (me["driver_id"], me["roles"]) == ("DRV001", ["driver"])
        _look_at_own_driving(up)
        trips = driver_trips(up, completed=True)
        print(f"stopped after {up.ctrl_c():.1f} s")  # noqa: T201
    finally:
        up.close()
    _come_again(folder, port, trips, before)


@pytest.mark.faults
def test_between_two_demos_the_first_administrator_is_a_real_one(folder: Path) -> None:
    port = free_port()
    up = Up(folder, port, "--demo")
    try:
        wait_for(lambda: up.login("driver0001", "password0001") == 200, "the demo's driver", 60)
        wait_for(lambda: driver_trips(up, completed=True), "a trip", 180, every_s=0.5)
        trips = driver_trips(up, completed=True)
        up.ctrl_c()
    finally:
        up.close()
    _run_for_real(folder, port, trips)
    again = Up(folder, port, "--demo", ADMIN_PASSWORD=ADMIN_PASSWORD)
    try:
        wait_for(lambda: again.login("driver0001", "password0001") == 200, "the demo's driver", 30, every_s=2.0)
        assert trips <= driver_trips(again)
        assert again.login("admin", "admin123") == 401, "the account is a real administrator's now"
        again.ctrl_c()
    finally:
        again.close()


def _insured(up: Up) -> bool:
    """Tell whether each driver has a policy: binding it is what sets the charged premium."""
    answers = [up.http.get(f"/pricing/DRV{number:03d}/policy-details") for number in range(1, DRIVERS + 1)]
    return all(answer.status_code == 200 and answer.json()["status"] == "active" for answer in answers)


def _watch_the_fleet(up: Up, before: dict[str, tuple[str, str | None]]) -> None:
    """Trips, scores and indicated premiums appear and move; what is charged does not."""
    wait_for(lambda: up.get("/trips")["total"] >= DRIVERS, "a fleet's trips", 180, every_s=0.5)
    wait_for(lambda: up.get("/drivers/DRV001/trips")["total"] >= 1, "a trip of the first driver", 180, every_s=0.5)

    def indicated() -> bool:
        return sum(price is not None for _, price in prices(up).values()) >= DRIVERS // 2

    wait_for(indicated, "indicated premiums", 60, every_s=1.0)
    first = prices(up)

    def moved() -> bool:
        return any(now != then for now, then in zip(prices(up).values(), first.values(), strict=True))

    wait_for(moved, "indicated premiums move while the fleet drives", 60, every_s=1.0)
    assert {driver: charged for driver, (charged, _) in prices(up).items()} == {
        driver: charged for driver, (charged, _) in before.items()
    }


def _look_at_own_driving(up: Up) -> None:
    def scored_trips() -> list[Any]:
        return [trip for trip in up.get("/drivers/me/trips")["items"] if trip["trip_score"] is not None]

    wait_for(scored_trips, "a score of an own trip", 60, every_s=0.5)
    scored = scored_trips()
    trip = up.get(f"/drivers/me/trips/{scored[-1]['trip_id']}")
    assert len(trip["path"]["coordinates"]) > 10
    # A trip is scored with the batch that ends it, its driver some seconds later.
    wait_for(lambda: up.get("/risk/me/score")["exposure_miles"] > 0, "a score of the own miles", 60, every_s=0.5)
    assert 0 <= up.get("/risk/me/score")["risk_score"] <= 100
    wait_for(lambda: up.get("/pricing/me/breakdown")["indicated"] is not None, "the own indicated premium", 60)
    worksheet = up.get("/pricing/me/breakdown")["indicated"]["worksheet"]
    assert "telematics" in {line["code"] for line in worksheet}
    policy = up.get("/pricing/me/policy-details")
    assert (policy["driver_id"], policy["status"]) == ("DRV001", "active")
    assert up.http.get("/drivers/DRV002/trips").status_code == 404, "somebody else's"


def _run_for_real(folder: Path, port: int, trips: set[str]) -> None:
    """Outside of demo mode the demo's accounts are closed; ADMIN_PASSWORD makes the first administrator."""
    real = Up(folder, port, ADMIN_PASSWORD=ADMIN_PASSWORD)
    try:
        wait_for(lambda: real.login("admin", ADMIN_PASSWORD) == 200, "the first administrator", 30, every_s=2.0)
        assert real.login("admin", "admin123") == 401
        assert real.login("driver0001", "password0001") == 401
        assert trips <= driver_trips(real, "DRV001")
        real.ctrl_c()
    finally:
        real.close()


def _come_again(folder: Path, port: int, trips: set[str], before: dict[str, tuple[str, str | None]]) -> None:
    """The data are kept, and the fleet drives on."""
    again = Up(folder, port, "--demo")
    try:
        wait_for(lambda: again.login("driver0001", "password0001") == 200, "the demo's driver", 30, every_s=2.0)
        assert trips <= driver_trips(again)
        assert str(again.get("/pricing/me/current")["monthly_premium"]) == before["DRV001"][0]
        sent = (folder / "data" / "demo" / "demo.json").read_text
        saved = sent()
        wait_for(lambda: sent() != saved, "the fleet drives on", 150, every_s=0.5)
        again.ctrl_c()
    finally:
        again.close()
