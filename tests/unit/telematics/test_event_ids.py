"""Ids of events that came without one: the definition may never change, stored events are told apart by it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.telematics import bulk
from auto_insurance.telematics.columns import of_samples
from auto_insurance.telematics.event_ids import Content, derive, text_word, words
from auto_insurance.telematics.schemas import EventType, Sample

FULL = Content(
    device_id="DEV:2",
    t_us=1_794_000_000_123_456,
    latitude=41.25,
    longitude=-96.0,
    speed_mph=31.5,
    accel_g=-0.25,
    lateral_g=0.125,
    heading_deg=271.5,
    altitude_m=-3.0,
    gps_accuracy_m=4.5,
    speed_limit_mph=35.0,
    phone_in_use=True,
    event_type="harsh_brake",
    trip_id="tr\u00eep 7",
    extra='{"fuel":0.5}',
)
EMPTY = Content(
    **dict.fromkeys(Content._fields) | {"device_id": "dev-1", "t_us": 1_794_000_000_000_000, "event_type": "normal"}  # type: ignore[arg-type]
)
singles = st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)
contents = st.builds(
    Content,
    device_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True),
    t_us=st.integers(946_684_800_000_000, 253_402_300_799_999_000),
    latitude=st.none() | st.floats(-90, 90),
    longitude=st.none() | st.floats(-180, 180),
    speed_mph=singles,
    accel_g=singles,
    lateral_g=singles,
    heading_deg=singles,
    altitude_m=singles,
    gps_accuracy_m=singles,
    speed_limit_mph=singles,
    phone_in_use=st.none() | st.booleans(),
    event_type=st.sampled_from([str(kind) for kind in EventType]),
    trip_id=st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=64),
    extra=st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=200),
)


def sample_of(content: Content, event_id: str = "") -> Sample:
    fields = content._asdict()
    trip = fields.pop("trip_id")
    return Sample(**fields, device_trip_id=trip, driver_id="", event_id=event_id, received_us=0, quality=0)


def test_these_ids_never_change() -> None:
    golden = {
        EMPTY: "n8CgAPts_04",
        EMPTY._replace(t_us=1_794_000_000_000_001): "QUfXOoZbnLE",
        EMPTY._replace(phone_in_use=False): "NsjPIgDbd78",
        FULL: "hAcLug8UxP4",
        FULL._replace(extra='{"fuel":0.25}'): "9hKmqHmMHIo",
        FULL._replace(latitude=-90.0, longitude=180.0, event_type="crash"): "63WRXFBIjsg",
    }
    assert {content: derive(content) for content in golden} == golden


def test_each_field_counts_where_it_stands() -> None:
    variants = {FULL, FULL._replace(speed_mph=-0.25, accel_g=31.5), FULL._replace(latitude=-96.0, longitude=41.25)}
    variants |= {Content(**(FULL._asdict() | {name: None})) for name in FULL._fields[2:12]}
    variants |= {FULL._replace(trip_id=None), FULL._replace(extra=None), FULL._replace(trip_id=FULL.extra, extra=None)}
    assert len({derive(content) for content in variants}) == len(variants) == 16


def test_words_are_what_is_written_down() -> None:
    assert words(EMPTY)[1:] == (EMPTY.t_us, *[0x7FF8 << 48] * 2, *[0x7FC0_0000_7FC0_0000] * 3, 0x2_7FC0_0000,
                                text_word("normal"), 0, 0)  # fmt: skip
    assert words(FULL)[3] == 0xC058 << 48
    assert words(FULL)[7] == 0x1_420C_0000
    assert text_word("x" * 200) != text_word("x" * 201)


@settings(max_examples=40, deadline=None)
@given(st.lists(contents, max_size=6), st.booleans())
def test_many_at_once_are_as_one_by_one(found: list[Content], some_given: bool) -> None:
    given_ids = ["given" if some_given and number % 2 else "" for number in range(len(found))]
    columns = of_samples(map(sample_of, found, given_ids))
    bulk.derive_ids(columns)
    assert columns.event_id == [text or derive(content) for text, content in zip(given_ids, found, strict=True)]
    assert all(text == "given" or len(text) == 11 for text in columns.event_id)


def test_ids_scatter() -> None:
    """Consecutive samples of a device, as they really come: each bit of the id is set in about half of them."""
    columns = of_samples(sample_of(FULL._replace(t_us=FULL.t_us + n * 1_000_000)) for n in range(4096))
    bulk.derive_ids(columns)
    assert len(set(columns.event_id)) == 4096
    alphabet = np.array([[ord(c) for c in text[:10]] for text in columns.event_id])
    for place in range(10):
        counts = np.unique(alphabet[:, place], return_counts=True)[1]
        assert len(counts) == 64
        assert counts.max() < 110
