"""Any JSON gets an answer; what is accepted survives the way to the log and back unchanged."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.kernel.clock import from_us
from auto_insurance.telematics.decode import decode_records, read_raw
from auto_insurance.telematics.limits import IngestPolicy, ReasonCode
from auto_insurance.telematics.records import Origin, records_of
from auto_insurance.telematics.schemas import Quality, Sample
from auto_insurance.telematics.validate import normalise, normalise_json, single
from tests.unit.telematics.logged import NOW, Logged

FIELDS = TelemetryEvent.__struct_fields__
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
GOOD = st.fixed_dictionaries(
    {
        "device_id": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True),
        "timestamp": st.integers(NOW // 1000 - 86_400_000, NOW // 1000 + 300_000)
        | st.floats(NOW / 1000 - 86_400_000, NOW / 1000 + 300_000),
    },
    optional={
        "latitude": st.floats(-90, 90),
        "longitude": st.floats(-180, 180),
        "speed": st.floats(0, 250) | st.integers(0, 250),
        "acceleration": st.floats(-16, 16),
        "lateral_acceleration": st.floats(-16, 16),
        "heading": st.floats(0, 360),
        "altitude": st.floats(-1000, 20_000),
        "gps_accuracy": st.floats(0, 100_000),
        "event_type": st.sampled_from(["normal", "crash", "ignition_off"]),
        "speed_limit": st.floats(0, 250),
        "phone_in_use": st.booleans(),
        "event_id": st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=64),
        "extra": st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    },
)


def judge(value: Any, **rights: Any) -> Sample | list[Any]:
    return normalise_json(value, received_us=NOW, now_us=NOW, **rights)[1]


def codes(**fields: Any) -> list[str]:
    result = judge({"device_id": "d1", "timestamp": NOW // 1000} | fields)
    return [] if isinstance(result, Sample) else [reason.code.value for reason in result]


@given(JSON | st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_json_gets_a_sample_or_reasons(value: Any) -> None:
    result = judge(value)
    assert isinstance(result, Sample) or (result and all(r.code in ReasonCode and r.message for r in result))


@given(GOOD)
def test_what_is_accepted_comes_back_from_the_log_unchanged(value: dict[str, Any]) -> None:
    event, sample = normalise_json(value, received_us=NOW, now_us=NOW)
    if not isinstance(sample, Sample):
        allowed = {"incomplete_position", "invalid_extra", "invalid_event_id"}
        assert {reason.code.value for reason in sample} <= allowed
        return
    assert event is not None
    (record,) = records_of("t", [event], Origin(NOW, any_age=False))
    decoded = decode_records([Logged(record.value, record.headers, from_us(NOW + 5_000_000))])
    assert decoded.columns.samples() == [sample]
    again, _ = normalise_json(value, received_us=NOW, now_us=NOW)
    assert again is not None
    assert normalise(again, received_us=NOW, now_us=NOW) == sample  # the derived id is stable
    for name in ("speed_mph", "accel_g", "altitude_m", "heading_deg"):
        number = getattr(sample, name)
        assert number is None or single(number) == number


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"device_id": None}, ["missing_field"]),
        ({"device_id": ""}, ["invalid_device_id"]),
        ({"device_id": "a b"}, ["invalid_device_id"]),
        ({"device_id": "x" * 10_000_000}, ["invalid_device_id"]),
        ({"event_id": "x" * 10_000_000}, ["invalid_event_id"]),
        ({"event_id": ""}, ["invalid_event_id"]),
        ({"event_id": "a\x00b"}, ["invalid_event_id"]),
        ({"trip_id": "t" * 65}, ["invalid_trip_id"]),
        ({"driver_id": "?"}, ["invalid_driver_id"]),
        ({"timestamp": None}, ["missing_field"]),
        ({"timestamp": "2026-11-06T20:40:00"}, ["invalid_timestamp"]),
        ({"timestamp": "yesterday"}, ["invalid_timestamp"]),
        ({"timestamp": "9" * 1000}, ["invalid_timestamp"]),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, ["invalid_timestamp"]),
        ({"timestamp": -1}, ["invalid_timestamp"]),
        ({"timestamp": 1e300}, ["invalid_timestamp"]),
        ({"timestamp": True}, ["wrong_type"]),
        ({"timestamp": [1]}, ["wrong_type"]),
        ({"timestamp": NOW // 1_000_000}, ["invalid_timestamp"]),  # seconds
        ({"timestamp": NOW // 1000 + 300_000}, []),
        ({"timestamp": NOW // 1000 + 300_001}, ["timestamp_in_future"]),
        ({"timestamp": NOW // 1000 + 86_400_000}, ["timestamp_in_future"]),
        ({"timestamp": NOW // 1000 - 30 * 86_400_000}, []),
        ({"timestamp": NOW // 1000 - 30 * 86_400_000 - 1}, ["too_old"]),
        ({"latitude": 1.0}, ["incomplete_position"]),
        ({"longitude": 1.0}, ["incomplete_position"]),
        ({"latitude": 91, "longitude": 181}, ["invalid_coordinates", "invalid_coordinates"]),
        ({"latitude": "1", "longitude": 1}, ["wrong_type"]),
        ({"speed": 250}, []),
        ({"speed": 250.1}, ["out_of_range"]),
        ({"speed": -0.1}, ["out_of_range"]),
        ({"speed": True}, ["wrong_type"]),
        ({"acceleration": 16.1, "lateral_acceleration": -17}, ["out_of_range", "out_of_range"]),
        ({"heading": 361}, ["out_of_range"]),
        ({"altitude": 861_600}, ["out_of_range"]),
        ({"gps_accuracy": -1}, ["out_of_range"]),
        ({"speed_limit": 300}, ["out_of_range"]),
        ({"event_type": "party"}, ["unknown_event_type"]),
        ({"extra": [1]}, ["wrong_type"]),
        ({"extra": {"a": {"b": {"c": {"d": {}}}}}}, ["invalid_extra"]),
        ({"extra": {"a": {"b": {"c": {"d": 1}}}}}, []),
        ({"extra": {"a": "x" * 5000}}, ["invalid_extra"]),
        ({"extra": {"a": [0] * 5000}}, ["invalid_extra"]),
        ({"extra": {"a": ["abcdef"] * 1000}}, ["invalid_extra"]),
        ({"extra": {"a": "\x00"}}, ["invalid_extra"]),
        ({"extra": {"a": "\ud800"}}, ["invalid_extra"]),
        ({"extra": {"a": 10**400}}, ["invalid_extra"]),
        ({"extra": {"a": math.inf}}, ["invalid_extra"]),
        ({"extra": {"a": object()}}, ["invalid_extra"]),
        ({"speed": -1, "heading": -1, "event_type": ""}, ["out_of_range", "out_of_range", "unknown_event_type"]),
        ({"unknown": 1}, []),
    ],
)
def test_each_rule_has_its_reason(fields: dict[str, Any], expected: list[str]) -> None:
    assert codes(**fields) == expected


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["latitude", "speed", "acceleration", "heading", "altitude", "gps_accuracy"])
def test_what_is_no_number_is_refused(name: str, bad: float) -> None:
    fields = {"latitude": 1.0, "longitude": 1.0} | {name: bad}
    event = TelemetryEvent(device_id="d", timestamp=NOW // 1000, **fields)  # type: ignore[arg-type]
    result = normalise(event, received_us=NOW, now_us=NOW)
    assert isinstance(result, list)
    assert result[0].field == name
    assert codes(timestamp=bad)


def test_an_import_takes_any_age_but_no_future() -> None:
    def at(ms: int) -> Sample | list[Any]:
        return judge({"device_id": "d", "timestamp": ms}, any_age=True)

    assert isinstance(at(946_684_800_000), Sample)
    assert isinstance(at(946_684_799_999), list)
    assert isinstance(at(NOW // 1000 + 400_000), list)


def test_policy_moves_the_limits() -> None:
    policy = IngestPolicy(clock_skew_s=0, late_window_s=60, max_speed_mph=100)
    for fields in ({"timestamp": NOW // 1000 + 1}, {"timestamp": NOW // 1000 - 61_000}, {"speed": 101}):
        assert isinstance(judge({"device_id": "d", "timestamp": NOW // 1000} | fields, policy=policy), list)


@pytest.mark.parametrize(
    ("fields", "quality"),
    [
        ({}, Quality.NO_POSITION),
        ({"latitude": 0, "longitude": 0}, Quality.NULL_ISLAND),
        ({"latitude": 0, "longitude": 0.1}, Quality.GOOD),
        ({"latitude": 1, "longitude": 1, "gps_accuracy": 50}, Quality.GOOD),
        ({"latitude": 0, "longitude": 0, "gps_accuracy": 50.1}, Quality.NULL_ISLAND | Quality.LOW_ACCURACY),
    ],
)
def test_doubtful_positions_are_flagged_not_refused(fields: dict[str, Any], quality: Quality) -> None:
    sample = judge({"device_id": "d", "timestamp": NOW // 1000} | fields)
    assert isinstance(sample, Sample)
    assert sample.quality == quality


def test_unknown_limit_full_circle_and_negative_zero() -> None:
    sample = judge(
        {
            "device_id": "d",
            "timestamp": NOW // 1000,
            "speed_limit": 0,
            "heading": 360,
            "acceleration": -0.0,
            "extra": {},
        }
    )
    assert isinstance(sample, Sample)
    assert (sample.speed_limit_mph, sample.heading_deg, str(sample.accel_g), sample.extra) == (None, 0.0, "0.0", None)


def test_different_content_gets_different_ids() -> None:
    base = {"device_id": "d", "timestamp": NOW // 1000, "speed": 10.0}
    samples = [judge(base | more) for more in ({}, {"speed": 11}, {"latitude": 1, "longitude": 2}, {"extra": {"a": 1}})]
    assert len({sample.event_id for sample in samples if isinstance(sample, Sample)}) == 4


def test_a_single_bad_event_is_judged_from_its_bytes() -> None:
    reasons = read_raw(b'{"device_id":')
    assert isinstance(reasons, list)
    assert reasons[0].code == "malformed"


@given(st.lists(st.sampled_from(["a", "b"]), max_size=40), st.integers(100, 2000))
def test_records_hold_each_event_once_in_order_per_device(devices: list[str], limit: int) -> None:
    events = []
    for number, device in enumerate(devices):
        event, sample = normalise_json(
            {"device_id": device, "timestamp": NOW // 1000 - number}, received_us=NOW, now_us=NOW
        )
        assert event is not None
        assert isinstance(sample, Sample)
        events.append((event, sample))
    records = records_of("t", [event for event, _ in events], Origin(NOW, any_age=True, request_id="r"), limit)
    assert all(len(record.value) <= limit for record in records)
    assert all(record.headers["scope"] == "import" and record.headers["request_id"] == "r" for record in records)
    for device in ("a", "b"):
        decoded = decode_records([Logged(r.value, r.headers) for r in records if r.key == device])
        found = decoded.columns.samples()
        assert found == [sample for _, sample in events if sample.device_id == device]
