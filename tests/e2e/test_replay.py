"""Recorded drives by the command line and the HTTP API: all stored, right miles; again, shuffled, with kills."""

from __future__ import annotations

import math
import os
import random
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from auto_insurance.devicekit.readers import Drive, read_drives
from tests.support.driving import Event, chunks, expected_contents, key_of
from tests.support.installations import NewSystem
from tests.support.system import ADMIN_PASSWORD, QUICK_TAKE_OVER, System, wait_for
from tests.support.trips import recorded_drives

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROWS, TAKEN = 36_163, 36_162
HALF_A_POSITION = "ndsbr NDB18 row 32440: latitude is missing"
"""The one row that is no event."""
SHUFFLED = ("DP04", "DP05", "DP09", "DP15", "DP17", "DP18", "DP33", "NDA12", "NDB08")
"""Drives with gaps, drives of several trips, and drives of all three drivers."""
STAYS = {"KAFKA_INSTANCE_ID": "worker-1"}
"""A worker that comes again under its name goes on at once; take-over by another one is tested with the faults."""


def replay(system: System, file: Path) -> tuple[int, str]:
    """Run the command as a person would; return its code and what it said."""
    password = system.folder / "admin-password"
    password.write_text(ADMIN_PASSWORD)
    argv = [sys.executable, "-m", "auto_insurance", "replay", str(file), "--url", system.base_url]
    argv += ["--username", "admin", "--password-file", str(password)]
    env = dict(os.environ) | {"COLUMNS": "200"}
    done = subprocess.run(argv, cwd=system.folder, env=env, capture_output=True, text=True, timeout=240, check=False)
    return done.returncode, done.stdout + done.stderr


def integral_miles(rows: list[dict[str, Any]]) -> float:
    """Integrate the recorded speed by the trapezoid rule."""
    return math.fsum(
        (a["speed_mph"] + b["speed_mph"]) / 2 * (b["timestamp"] - a["timestamp"]).total_seconds() / 3600
        for a, b in pairwise(rows)
    )


def events_of(drive: Drive) -> list[Event]:
    """Return a drive as its device sends it, without the rows that have half a position."""
    whole = [event for event in drive.events if ("latitude" in event) == ("longitude" in event)]
    return [{"device_id": drive.device_id, **event} for event in whole]


def assert_miles(miles: dict[str, float], own: dict[str, float]) -> None:
    """Check the distances of stored trips of drives over a mile against the recorded speed."""
    errors = {drive: abs(miles[drive] / own[drive] - 1.0) for drive in own if own[drive] > 1.0}
    print(f"{len(errors)} drives over a mile: median error {median(errors.values()):.4f}")  # noqa: T201
    assert len(errors) >= 20
    assert median(errors.values()) <= 0.01
    assert sum(error <= 0.02 for error in errors.values()) >= 0.75 * len(errors)
    assert max(errors.values()) <= 0.04, errors


def owner_of(system: System, device_id: str) -> tuple[str, str]:
    """Return driver and time zone of a device."""
    driver = system.http.get(f"/telematics/devices/{device_id}/health").raise_for_status().json()["driver_id"]
    return driver, system.http.get(f"/drivers/{driver}").raise_for_status().json()["time_zone"]


def test_all_recorded_drives_and_then_the_same_file_again(shared_system: System, shared_data: Path) -> None:
    system, file = shared_system, shared_data / "drives.parquet"
    drives = read_drives(file)
    devices = [drive.device_id for drive in drives]
    began = time.monotonic()
    code, said = replay(system, file)
    seconds = time.monotonic() - began
    print(said, f"{ROWS / seconds:.0f} rows a second, command and waiting included")  # noqa: T201
    assert code == 0, said
    assert f"{len(drives)} drives, {ROWS:,} rows: {TAKEN:,} accepted, 1 rejected, {TAKEN:,} stored" in said
    assert HALF_A_POSITION in said
    for drive in drives:
        assert re.search(rf"{drive.drive_id} .* {drive.recorded_miles():.3f}", said), "its own length beside its trips"
    system.wait_settled()
    stored, trips = system.stored(devices), system.trips(devices)
    assert stored == {key_of(event) for drive in drives for event in events_of(drive)}
    for drive in drives:
        contents = [content for _, content in trips[drive.device_id]]
        assert contents == expected_contents(events_of(drive), *owner_of(system, drive.device_id)), drive.drive_id
    rows = system.fetch(
        "SELECT device_id, sum(distance_miles) FROM trips WHERE status = 'completed' GROUP BY device_id"
    )
    miles = {row[0]: row[1] for row in rows}
    own = {f"{drive.drive_id}": integral_miles(part) for drive, part in _with_rows(drives, shared_data)}
    assert_miles({drive.drive_id: miles.get(drive.device_id, 0.0) for drive in drives}, own)
    system.assert_effects_once()

    scores = system.value("SELECT count(*) FROM risk_scores")
    code, said = replay(system, file)
    assert code == 0, said
    assert f"{TAKEN:,} accepted, 1 rejected, {TAKEN:,} stored" in said
    system.wait_settled()
    assert system.stored(devices) == stored
    assert system.trips(devices) == trips, "the same trips with the same ids"
    assert system.value("SELECT count(*) FROM risk_scores") == scores, "no trip changed, so no score did"


def _with_rows(drives: list[Drive], folder: Path) -> list[tuple[Drive, list[dict[str, Any]]]]:
    rows = recorded_drives(folder)
    return [(drive, rows[drive.drive_id]) for drive in drives]


@pytest.mark.parametrize("kills", [2, pytest.param(5, marks=pytest.mark.faults)])
def test_shuffled_in_chunks_with_the_worker_killed(new_system: NewSystem, shared_data: Path, kills: int) -> None:
    drives = [drive for drive in read_drives(shared_data / "drives.parquet") if drive.drive_id in SHUFFLED]
    system = new_system(**QUICK_TAKE_OVER, **STAYS).start_all()
    zones = {"driveplotr": "America/Chicago", "ndsbr": "America/Sao_Paulo"}
    owners = {name: system.enrol(zones[name[0]]) for name in sorted({(d.source, d.driver) for d in drives})}
    keys = {d.device_id: system.device(owners[d.source, d.driver], d.device_id) for d in drives}
    order = random.Random(20260105)
    parts = [part for drive in drives for part in chunks(events_of(drive), 150)]
    parts += order.sample(parts, len(parts) // 4)
    order.shuffle(parts)
    killed = 0
    for number, part in enumerate(parts):
        answer = system.send(keys[part[0]["device_id"]], part, importing=True)
        assert (answer.status_code, answer.json()["accepted"]) == (202, len(part))
        if number >= (killed + 1) * len(parts) // (kills + 1):
            _kill_at_work(system, order)
            killed += 1
    assert killed == kills
    system.wait_settled()
    assert system.stored(list(keys)) == {key_of(event) for drive in drives for event in events_of(drive)}
    found = system.contents(list(keys))
    for drive in drives:
        expected = expected_contents(events_of(drive), owners[drive.source, drive.driver], zones[drive.source])
        assert found[drive.device_id] == expected, drive.drive_id
    assert sum(len(trips) > 1 for trips in found.values()) >= 3, "the choice holds drives of several trips"
    system.assert_effects_once()


def _kill_at_work(system: System, order: random.Random) -> None:
    """Kill the worker some moments after it has begun to move, while there is work left, and start another one."""
    consumed = "SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets WHERE topic = 'telematics-events'"
    before = system.value(consumed)
    wait_for(lambda: system.value(consumed) > before or system.undone() == 0, "progress", every_s=0.02)
    time.sleep(order.uniform(0, 0.1))
    for worker in system.of("worker"):
        worker.kill()
    system.start("worker")
