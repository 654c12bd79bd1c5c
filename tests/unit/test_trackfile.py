from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.infra import trackfile
from auto_insurance.infra.trackfile import TrackFileError, TrackFormat, TrackRow, detect_format, read_track

GPX = b"""<?xml version="1.0"?>
<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1" xmlns:e="urn:e">
 <metadata><time>2026-11-01T00:00:00Z</time></metadata>
 <trk><trkseg>
  <trkpt lat="41.5" lon="-87.25"><ele>180.5</ele><time>2026-11-01T10:00:00Z</time>
   <extensions><e:TrackPointExtension><e:speed>10</e:speed><e:course>90</e:course></e:TrackPointExtension></extensions>
  </trkpt>
  <trkpt lat="x" lon="-87.25"><time></time><speed>fast</speed></trkpt>
 </trkseg></trk>
</gpx>"""


def rows(kind: TrackFormat, content: bytes) -> list[TrackRow]:
    return list(read_track(kind, content))


def test_gpx_points_have_the_apis_names_and_their_line() -> None:
    first, second = rows(TrackFormat.GPX, GPX)
    assert first.line == 5
    assert first.fields == {
        "latitude": 41.5,
        "longitude": -87.25,
        "altitude": 180.5,
        "timestamp": "2026-11-01T10:00:00Z",
        "speed": pytest.approx(22.369, abs=0.001),
        "heading": 90,
    }
    assert second == TrackRow(8, {"latitude": "x", "longitude": -87.25, "speed": "fast"})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'<!DOCTYPE gpx [<!ENTITY a "b">]><gpx>&a;</gpx>', "document type"),
        (b'<!DOCTYPE gpx SYSTEM "file:///etc/passwd"><gpx/>', "document type"),
        ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE gpx><gpx/>'.encode("utf-16"), "document type"),
        (b"<gpx><trk>", "not well-formed"),
        (b"<html/>", "no GPX"),
        (b"", "not well-formed"),
        (b"<gpx>" + b"<a>" * 40, "nested"),
        (b"<gpx><trkpt><time>" + b"9" * 5000, "too much text"),
    ],
)
def test_dangerous_or_broken_xml_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(TrackFileError, match=why):
        rows(TrackFormat.GPX, content)


def test_rows_before_the_fault_are_given_out() -> None:
    point = b'<trkpt lat="1" lon="2"><time>2026-11-01T10:00:00Z</time></trkpt>\n'
    found: list[TrackRow] = []
    with pytest.raises(TrackFileError, match=r"line 4\d\d\d"):
        found.extend(read_track(TrackFormat.GPX, b"<gpx>\n" + point * 4000 + b"<broken"))
    assert len(found) > 3000
    assert len(rows(TrackFormat.GPX, b"<gpx>" + b"x" * 9000 + point + b"</gpx>")) == 1


def test_csv_values_are_typed_and_empty_ones_left_out() -> None:
    content = (
        "\ufefftimestamp, Speed ,latitude,phone_in_use,event_type,other\n"
        "2026-11-01T10:00:00Z,12.5,,true,normal,x\n"
        "\n"
        "1793999999999,fast,4x,maybe,,\n"
        ",1,\n"
    ).encode()
    assert rows(TrackFormat.CSV, content) == [
        TrackRow(2, {"timestamp": "2026-11-01T10:00:00Z", "speed": 12.5, "phone_in_use": True, "event_type": "normal"}),
        TrackRow(4, {"timestamp": 1793999999999, "speed": "fast", "latitude": "4x", "phone_in_use": "maybe"}),
        TrackRow(5, {"speed": 1}),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "no column"), (b"a,b\n", "no column"), (b"timestamp\n\xff\n", "UTF-8"), (b'timestamp\n"a', "CSV")],
)
def test_broken_csv_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(TrackFileError, match=why):
        rows(TrackFormat.CSV, content)


def test_the_number_of_rows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackfile, "MAX_ROWS", 2)
    with pytest.raises(TrackFileError, match="line 4: more than 2 rows"):
        rows(TrackFormat.CSV, b"timestamp\n1\n2\n3\n")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x", b" <gpx>", TrackFormat.GPX),
        ("x", b"\xef\xbb\xbfTimestamp,speed\n", TrackFormat.CSV),
        ("a.CSV", b"a,b\n", TrackFormat.CSV),
        ("a.gpx", b"", TrackFormat.GPX),
        ("a.bin", b"PK", None),
    ],
)
def test_the_format_is_found_by_content_then_name(name: str, content: bytes, expected: TrackFormat | None) -> None:
    assert detect_format(name, content) is expected


@given(st.sampled_from(TrackFormat), st.binary(max_size=300))
def test_any_bytes_give_rows_or_the_one_error(kind: TrackFormat, content: bytes) -> None:
    with contextlib.suppress(TrackFileError):
        rows(kind, content)
