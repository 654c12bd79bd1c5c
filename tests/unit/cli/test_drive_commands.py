"""`replay` and `simulate` against a server that answers as ours does."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from auto_insurance.devicekit import replay
from auto_insurance.devicekit.readers import RowProblem
from auto_insurance.entrypoints.cli.replayed import as_json, difference_percent, render, succeeded
from tests.support.fakeapi import FakeApi
from tests.unit.cli.conftest import call, pretend_running

CSV = "timestamp,latitude,longitude,speed\n" + "".join(
    f"2026-03-02T12:00:{second:02d}Z,40.0,{-83.0 + second / 10_000:.4f},20\n" for second in range(30)
)
DRIVE = replay.DriveReport(
    drive="monday",
    device_id="D",
    driver_id="DRV009",
    rows=10,
    accepted=8,
    rejected=2,
    stored=8,
    trips=1,
    trip_miles=3.25,
    own_miles=3.2,
    reasons=Counter({"timestamp_in_future": 2}),
    refused=[RowProblem(7, "ahead of the clock")] * 30,
    left_out=4,
)


def text_of(report: replay.ReplayReport) -> str:
    console = Console(width=160, no_color=True)
    with console.capture() as out:
        console.print(render(report))
    return out.get()


def test_report_shows_counts_reasons_and_miles() -> None:
    text = text_of(replay.ReplayReport([DRIVE, replace(DRIVE, drive="tuesday", error="it broke")], True, 1.5))
    for part in ("monday", "3.250", "3.200", "+1.56", "timestamp_in_future x2", "error: it broke", "6.500"):
        assert part in text
    assert "monday row 7: ahead of the clock" in text
    assert "and 40 more refused rows" in text
    assert "8 altitudes that can't be were left out" in text
    assert "2 drives, 20 rows: 16 accepted, 4 rejected, 16 stored" in text


def test_success_is_all_stored() -> None:
    assert succeeded(replay.ReplayReport([DRIVE], True, 1.0))
    assert not succeeded(replay.ReplayReport([DRIVE], False, 1.0))
    assert not succeeded(replay.ReplayReport([replace(DRIVE, error="x")], True, 1.0))
    assert not succeeded(replay.ReplayReport([replace(DRIVE, accepted=0, stored=0)], True, 1.0))
    assert "send again later" in text_of(replay.ReplayReport([replace(DRIVE, stored=3)], False, 1.0))
    assert "1 accepted rows equal another one" in text_of(replay.ReplayReport([replace(DRIVE, stored=7)], True, 1.0))


def test_no_own_miles_no_difference() -> None:
    assert difference_percent(0.0, 1.0) is None
    assert math.isclose(difference_percent(2.0, 1.0) or 0.0, -50.0)
    assert "     -\n" in text_of(replay.ReplayReport([replace(DRIVE, own_miles=0.0)], True, 1.0))
    found = json.loads(as_json(replay.ReplayReport([replace(DRIVE, own_miles=0.0)], True, 1.0)))
    assert found["drives"][0]["difference_percent"] is None
    assert found["totals"] == {
        "drives": 1,
        "rows": 10,
        "accepted": 8,
        "rejected": 2,
        "stored": 8,
        "trips": 1,
        "reasons": {"timestamp_in_future": 2},
    }


def test_replay_needs_nothing_but_the_file_and_a_running_system(api: FakeApi, folder: Path) -> None:
    pretend_running(folder, api.base_url, demo=False, secret="right")
    (folder / "monday.csv").write_text(CSV)
    result = call("replay", "monday.csv", "--json", "report.json", "--time-zone", "America/New_York", "--state", "OH")
    assert result.exit_code == 0, result.output
    report = json.loads((folder / "report.json").read_text())
    assert report["succeeded"]
    assert report["drives"][0]["stored"] == 30
    assert api.uploads == [("mode=import", 30)]
    assert {key: api.drivers[0][key] for key in ("state", "time_zone")} == {
        "state": "OH",
        "time_zone": "America/New_York",
    }
    printed = call("replay", "monday.csv", "--json", "-")
    assert json.loads(printed.stdout)["drives"][0]["stored"] == 30
    assert len(api.drivers) == 1, "known the second time"
    assert len(api.events) == 30


def test_replay_shifted_to_now_is_no_import(api: FakeApi, folder: Path) -> None:
    pretend_running(folder, api.base_url, demo=False, secret="right")
    (folder / "monday.csv").write_text(CSV)
    assert call("replay", "monday.csv", "--speed-up", "100000").exit_code == 0
    assert {query for query, _ in api.uploads} == {""}


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.parquet", b"PAR1 no", "not readable as Parquet"),
        ("a.txt", b"x", "not a .parquet, .csv or .gpx file"),
        ("a.csv", b"when,where\n1,2\n", "a.csv"),
        ("a.gpx", b"<gpx", "a.gpx"),
    ],
)
def test_replay_names_the_file_that_it_cant_read(
    api: FakeApi, folder: Path, name: str, content: bytes, what: str
) -> None:
    pretend_running(folder, api.base_url, demo=False, secret="right")
    (folder / name).write_bytes(content)
    result = call("replay", name)
    assert result.exit_code in {1, 2}
    assert what in result.output
    assert "Traceback" not in result.output


def test_replay_says_wrong_password_and_failed_uploads(api: FakeApi, folder: Path) -> None:
    (folder / "monday.csv").write_text(CSV)
    (folder / "word").write_text("wrong")
    argv = ("replay", "monday.csv", "--url", api.base_url, "--password-file", "word")
    result = call(*argv)
    assert result.exit_code == 1
    assert "Username or password is wrong" in result.output
    (folder / "word").write_text("right")
    api.refusal = 403
    result = call(*argv)
    assert result.exit_code == 1
    assert "The event log refuses" in result.output
    assert call(*argv, "--json", "no/such/report.json").exit_code == 1
    assert call("replay", "nothing.csv").exit_code == 2


def test_replay_interrupted_says_what_is_kept(api: FakeApi, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_running(folder, api.base_url, demo=False, secret="right")
    (folder / "monday.csv").write_text(CSV)

    async def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(replay, "replay", interrupted)
    result = call("replay", "monday.csv")
    assert result.exit_code == 130
    assert "adds nothing twice" in result.output


def test_simulate_is_the_same_for_the_same_seed(folder: Path) -> None:
    argv = ("simulate", "--drivers", "2", "--start", "2026-03-02", "--seed", "3", "--limit", "1200", "-o")
    assert call(*argv, "one.jsonl").exit_code == 0
    printed = call(*argv, "-")
    lines = (folder / "one.jsonl").read_text().splitlines()
    assert len(lines) == 1200
    assert {"device_id", "timestamp"} <= set(json.loads(lines[0]))
    assert lines[0] in printed.stdout
    assert "1,200 simulated events" in printed.output
    assert call(*argv, "no/such/folder.jsonl").exit_code == 1


@pytest.mark.parametrize(
    "argv",
    [
        ("--style", "calm"),
        ("--style", "reckless=1"),
        ("--style", "calm=-1"),
        ("--style", "calm=nan"),
        ("-o", "x", "--live"),
        ("-o", "x", "--steady", "3"),
    ],
)
def test_simulate_names_wrong_options(argv: tuple[str, ...]) -> None:
    assert call("simulate", *argv).exit_code == 2


def test_simulate_registers_and_drives_a_fleet(api: FakeApi, folder: Path) -> None:
    pretend_running(folder, api.base_url, demo=False, secret="right")
    argv = ("simulate", "--drivers", "3", "--start", "2026-03-02T12:00:00", "--days", "0.3", "--style", "commuter=1")
    result = call(*argv, "--duplicates", "0.2", "--late", "0.2")
    assert result.exit_code == 0, result.output
    assert "simulated" in result.output
    assert "3 drivers enrolled, 0 known before" in result.output
    assert [driver["full_name"].endswith("(simulated)") for driver in api.drivers] == [True] * 3
    assert set(api.devices) == {"SIM1-00001", "SIM1-00002", "SIM1-00003"}
    assert all("vehicle" in driver for driver in api.drivers)
    stored = len(api.events)
    assert stored > 1000
    assert sum(count for _, count in api.uploads) > stored, "some came twice"
    assert {query for query, _ in api.uploads} == {"mode=import"}, "of long ago"
    again = call(*argv)
    assert "0 drivers enrolled, 3 known before" in again.output
    assert len(api.events) == stored


def test_simulate_tells_refused_events_and_a_server_that_refuses(api: FakeApi, folder: Path) -> None:
    pretend_running(folder, api.base_url, demo=False, secret="right")
    argv = ("simulate", "--drivers", "1", "--start", "2026-03-02T12:00:00", "--days", "0.2", "--style", "commuter=1")
    api.reject = True
    result = call(*argv)
    assert result.exit_code == 1
    assert "refused: too_old x" in result.output
    api.refusal = 403
    result = call(*argv)
    assert result.exit_code == 1
    assert "The event log refuses" in result.output
