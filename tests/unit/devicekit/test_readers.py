from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from auto_insurance.devicekit import readers
from auto_insurance.devicekit.readers import DriveFileError, read_drives, shifted, time_of
from auto_insurance.devicekit.replay import nautical_zone
from auto_insurance.telematics.schemas import Sample
from auto_insurance.telematics.validate import normalise_json

AT = datetime(2026, 11, 1, 10, tzinfo=UTC)


def parquet(folder: Path, **columns: list[object]) -> Path:
    path = folder / "d.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def test_columns_become_the_apis_fields(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        source=["s", "s", "s"],
        drive_id=["a", "a", "b/2"],
        timestamp=[AT, None, AT - timedelta(hours=1)],
        latitude=[1.5, 2.0, 3.0],
        longitude=[4.0, None, None],
        speed_mph=[36.0, 1.0, float("nan")],
        accel_long_g=[0.1, None, None],
        accel_lat_g=[-0.1, None, None],
        altitude_m=[861_600.0, 1.0, 100.0],
        hdop=[1.0, 1.0, 1.0],
        phone_in_use=[True, None, False],
    )
    b, a = read_drives(path)
    assert b.events == [
        {"timestamp": "2026-11-01T09:00:00+00:00", "latitude": 3.0, "altitude": 100.0, "phone_in_use": False}
    ]
    assert b.device_id == "replay-s-b-2"
    assert a.events == [
        {
            "timestamp": "2026-11-01T10:00:00+00:00",
            "latitude": 1.5,
            "longitude": 4.0,
            "speed": 36.0,
            "acceleration": 0.1,
            "lateral_acceleration": -0.1,
            "phone_in_use": True,
        }
    ]
    assert (a.rows, a.left_out, a.driver) == (2, 1, "unknown")
    assert [(p.line, "timestamp" in p.message) for p in a.problems] == [(2, True)]


def test_own_length_is_the_integral_of_the_recorded_speed(tmp_path: Path) -> None:
    seconds = [0, 60, 120, 2000]
    path = parquet(tmp_path, timestamp=[AT + timedelta(seconds=s) for s in seconds], speed_mph=[0.0, 60.0, 60.0, 60.0])
    (drive,) = read_drives(path)
    assert drive.recorded_miles() == pytest.approx(1.5)


def test_csv_and_gpx(tmp_path: Path) -> None:
    csv = tmp_path / "x.csv"
    csv.write_text("timestamp,speed,device_id\n2026-11-01T10:00:00Z,5,\n2026-11-01,5,\n1793527200000,7,other\n")
    first, other = read_drives(csv)
    assert (first.drive_id, first.rows, [p.line for p in first.problems]) == ("x", 2, [3])
    assert other.events == [{"timestamp": 1793527200000, "speed": 7}]
    gpx = tmp_path / "y.gpx"
    gpx.write_text(
        '<gpx><trkpt lat="1" lon="2"><time>2026-11-01T10:00:00Z</time></trkpt><trkpt lat="1" lon="2"/></gpx>'
    )
    (drive,) = read_drives(gpx)
    assert (drive.device_id, drive.rows, len(drive.problems)) == ("replay-file-y", 2, 1)


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = {"a.txt": b"x", "b.parquet": b"no", "c.csv": b"timestamp\n", "d.gpx": b"<!DOCTYPE gpx><gpx/>"}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DriveFileError, match=name):
            read_drives(tmp_path / name)
    with pytest.raises(DriveFileError):
        read_drives(tmp_path / "missing.csv")
    with pytest.raises(DriveFileError, match="no column timestamp"):
        read_drives(parquet(tmp_path, speed_mph=[1.0]))
    monkeypatch.setattr(readers, "MAX_FILE_BYTES", 1)
    with pytest.raises(DriveFileError, match="larger"):
        read_drives(tmp_path / "b.parquet")


@pytest.mark.parametrize("speed_up", [0.5, 1.0, 10.0])
def test_a_shifted_drive_ends_in_the_present_and_is_never_ahead(tmp_path: Path, speed_up: float) -> None:
    path = parquet(tmp_path, timestamp=[AT + timedelta(seconds=s) for s in (100, 0, 700)])
    (drive,) = read_drives(path)
    now = datetime(2027, 1, 1, tzinfo=UTC)
    moved = shifted(drive, now, speed_up)
    first = time_of(moved.events[0])
    assert [(time_of(e) - first).total_seconds() for e in moved.events] == [0, 100, 700]
    for event in moved.events:
        sent_at = now + (time_of(event) - first) / speed_up
        assert time_of(event) <= sent_at + timedelta(microseconds=1)
    drive.events.clear()
    assert shifted(drive, now, 2.0) is drive


@pytest.mark.parametrize(
    ("longitude", "zone"), [(-96.7, "Etc/GMT+6"), (-49.3, "Etc/GMT+3"), (0.1, "Etc/UTC"), (121.0, "Etc/GMT-8")]
)
def test_nautical_zones(tmp_path: Path, longitude: float, zone: str) -> None:
    from zoneinfo import ZoneInfo

    (drive,) = read_drives(parquet(tmp_path, timestamp=[AT, AT], longitude=[None, longitude]))
    assert nautical_zone(drive) == zone
    offset = ZoneInfo(zone).utcoffset(AT)
    assert offset == timedelta(hours=round(longitude / 15))
    drive.events.clear()
    assert nautical_zone(drive) == "Etc/UTC"


def test_every_recorded_row_is_accepted_but_the_one_with_half_a_position(shared_data: Path) -> None:
    now = 1_794_000_000_000_000
    drives = read_drives(shared_data / "drives.parquet")
    assert sum(drive.rows for drive in drives) == 36_163
    assert len({drive.device_id for drive in drives}) == 30
    refused = []
    for drive in drives:
        assert not drive.problems
        for event in drive.events:
            named = event | {"device_id": drive.device_id}
            _, sample = normalise_json(named, received_us=now, now_us=now, any_age=True)
            if not isinstance(sample, Sample):
                refused.append((drive.drive_id, [reason.code.value for reason in sample]))
    assert refused == [("NDB18", ["incomplete_position"])]
