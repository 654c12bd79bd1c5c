"""Whole batches get the verdicts, the words and the values that each event would get by itself."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.kernel.clock import from_us
from auto_insurance.telematics import bulk
from auto_insurance.telematics.decode import DecodedBatch, decode_records
from auto_insurance.telematics.limits import ArchivedMonths, IngestPolicy
from auto_insurance.telematics.schemas import Sample
from auto_insurance.telematics.validate import normalise, normalise_json
from tests.unit.telematics.logged import NOW, Logged

MS = NOW // 1000
NUMBERS = ("latitude", "longitude", "speed", "acceleration", "lateral_acceleration", "heading", "altitude",
           "gps_accuracy", "speed_limit")  # fmt: skip
POLICY = IngestPolicy(archived=ArchivedMonths([(2026, 10), (2024, 2)]))
odd_numbers = st.sampled_from(
    [0, -0.0, 0.0, 1e-7, 16, 16.000001, -16, 49.99999999, 50, 50.00000001, 90, 90.0000001, 180, 250, 250.00001, 360,
     359.99999999, 20_000, -1000, 100_000, 1e30, -1e308, 10**40, 3.4e38, 5e-324, math_inf := float("inf"), -math_inf,
     float("nan"), True, False, None, "1", [1]]
)  # fmt: skip
numbers = odd_numbers | st.floats(-400, 400) | st.floats() | st.integers()
times = (
    st.integers(MS - 40 * 86_400_000, MS + 400_000)
    | st.integers()
    | st.floats()
    | st.floats(MS - 86_400_000, MS + 400_000)
    | st.integers(NOW - 50 * 86_400_000_000, NOW + 1_000_000_000).map(lambda t_us: from_us(t_us).isoformat())
    | st.sampled_from(
        [
            "2026-11-06T20:40:00",
            "",
            None,
            True,
            MS - 30 * 86_400_000,
            MS - 30 * 86_400_000 - 1,
            MS + 300_000,
            MS + 300_001,
            946_684_799_999,
            946_684_800_000,
        ]
    )
)
texts = st.text(max_size=5) | st.sampled_from(["", "x" * 64, "x" * 65, "a\x00", "tab\t", "ok", "d-1", None, 7])
events = st.fixed_dictionaries(
    {"device_id": st.sampled_from(["d1", "d2"]) | texts, "timestamp": times},
    optional={
        **dict.fromkeys(NUMBERS, numbers),
        "event_id": texts,
        "driver_id": st.sampled_from(["DRV001", "?"]) | texts,
        "event_type": st.sampled_from(["normal", "crash", "party"]) | texts,
        "phone_in_use": st.booleans() | st.none() | st.integers(0, 1),
        "trip_id": texts,
        "extra": st.dictionaries(st.text(max_size=3), odd_numbers, max_size=2) | st.just({"a": "\x00"}) | st.none(),
        "unknown": st.none() | st.just({"a": 1}),
    },
)
plain = st.fixed_dictionaries(
    {"device_id": st.sampled_from(["d1", "d2", "d3"]), "timestamp": st.integers(MS - 20 * 86_400_000, MS)},
    optional={
        "latitude": st.floats(-90, 90),
        "longitude": st.floats(-180, 180),
        "speed": st.floats(0, 250),
        "phone_in_use": st.booleans(),
        "trip_id": st.sampled_from(["t1", "t2"]),
        "extra": st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    },
)


def encoded(found: list[Any]) -> bytes:
    return json.dumps(found).encode()


def expected(value: Any, received_us: int = NOW, any_age: bool = False) -> Sample | str:
    """The sample, or the words of the dead letter, of one event by itself."""
    _, result = normalise_json(value, received_us=received_us, now_us=received_us, policy=POLICY, any_age=any_age)
    if isinstance(result, Sample):
        return result
    return "; ".join(f"{reason.code}: {reason.message}" for reason in result)[:1000]


def found_in(batch: DecodedBatch) -> dict[tuple[int, int], Sample | str]:
    places = zip(batch.record.tolist(), batch.index.tolist(), strict=True)
    alive: dict[tuple[int, int], Sample | str] = dict(zip(places, batch.columns.samples(), strict=True))
    dead = {(number, -1 if index is None else index): why.detail or "" for number, index, why, _ in batch.dead}
    assert len(alive) + len(dead) == len(batch.columns) + len(batch.dead)
    assert not alive.keys() & dead.keys()
    assert {batch.columns.devices[code] for code in batch.columns.device} == set(batch.columns.devices)
    return {**alive, **dead}


def json_safe(value: Any) -> bool:
    """Whether the text that Python makes of a value is JSON and within the range of doubles."""
    return "Infinity" not in (text := json.dumps(value)) and "NaN" not in text


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.lists(events | plain | st.integers(), max_size=4), st.booleans()), max_size=4))
def test_every_event_is_judged_as_by_itself(uploads: list[tuple[list[Any], bool]]) -> None:
    uploads = [([event for event in found if json_safe(event)], aged) for found, aged in uploads]
    received = [NOW - 1000 * number for number in range(len(uploads))]
    records = [
        Logged(encoded(found), {"received_at": str(received_us), "scope": "import" if aged else "ingest"})
        for (found, aged), received_us in zip(uploads, received, strict=True)
    ]
    wanted = {
        (number, place): expected(json.loads(json.dumps(event)), received[number], aged)
        for number, (found, aged) in enumerate(uploads)
        for place, event in enumerate(found)
    }
    batch = decode_records(records, POLICY)
    assert found_in(batch) == wanted
    for number, index, dead, value in batch.dead:
        assert index is not None
        assert dead.reason == "invalid"
        assert json.loads(value) == uploads[number][0][index]


@settings(max_examples=40, deadline=None)
@given(st.lists(plain, min_size=1, max_size=30))
def test_what_is_doubted_but_right_is_kept(found: list[dict[str, Any]]) -> None:
    typed = msgspec.json.decode(encoded(found), type=list[TelemetryEvent])
    received = np.full(len(typed), NOW, np.int64)
    sure = bulk.judge(typed, received, IngestPolicy())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "_check_times", lambda *arguments: arguments[-1].fill(True))
        doubted = bulk.judge(typed, received, IngestPolicy())
    assert sure.refused == doubted.refused
    good = sure.accepted()
    ids = [bulk.kept(judged.columns, good) for judged in (sure, doubted)]
    for columns in ids:
        bulk.derive_ids(columns)
    assert ids[0].samples() == ids[1].samples()


@settings(max_examples=40, deadline=None)
@given(st.lists(events, max_size=5))
def test_typed_events_in_memory(found: list[dict[str, Any]]) -> None:
    """Infinities, which JSON can't carry, are refused here too."""
    typed = []
    for value in found:
        try:
            typed.append(msgspec.convert(value, TelemetryEvent))
        except msgspec.ValidationError:
            continue
    typed = [event for event in typed if all(getattr(event, name) == getattr(event, name) for name in NUMBERS)]
    judged = bulk.judge(typed, np.full(len(typed), NOW, np.int64), POLICY)
    for place, event in enumerate(typed):
        alone = normalise(event, received_us=NOW, now_us=NOW, policy=POLICY)
        if isinstance(alone, list):
            assert judged.refused.pop(place) == alone
    assert not judged.refused


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"[", b"[{]", b"[1e999]", b" [1]", b"{}"]), max_size=4))
def test_any_bytes_are_decoded_to_something(values: list[bytes]) -> None:
    batch = decode_records([Logged(value) for value in values])
    assert len(batch.columns) == 0
    assert {number for number, _, _, _ in batch.dead} >= {n for n, v in enumerate(values) if v.strip() != b"[]"}


def test_one_bad_event_does_not_harm_its_record() -> None:
    good = f'{{"device_id":"d","timestamp":{MS}}}'
    value = f'[{good}, {{"device_id":7}}, "x", {good.replace("d", "e", 1)}, {{"device_id":"d","timestamp":1e999}}]'
    batch = decode_records([Logged(b"[]"), Logged(value.encode(), {"received_at": str(NOW)}, from_us(NOW + 1))])
    assert batch.index.tolist() == [0]
    assert batch.record.tolist() == [1]
    assert [(number, index, why.reason) for number, index, why, _ in batch.dead] == [
        (1, 1, "invalid"), (1, 2, "invalid"), (1, 3, "invalid"), (1, 4, "malformed"),
    ]  # fmt: skip
    assert batch.columns.received_us.tolist() == [NOW]
    assert batch.dead[0][3] == b'{"device_id":7}'


def test_a_bare_event_is_a_record_of_its_own() -> None:
    good = f' {{"device_id":"d","timestamp":{MS}}}'.encode()
    bad = f'{{"device_id":"d","timestamp":{MS},"speed":999}}'.encode()
    wrong = b'{"device_id":7}'
    batch = decode_records([Logged(good), Logged(bad), Logged(wrong), Logged(b"7")])
    assert (batch.index.tolist(), batch.record.tolist()) == ([-1], [0])
    assert {number: (index, why.reason, value) for number, index, why, value in batch.dead} == {
        1: (None, "invalid", bad), 2: (None, "invalid", wrong), 3: (None, "invalid", b"7"),
    }  # fmt: skip
    assert [why.detail for number, _, why, _ in batch.dead if number == 1] == [
        "out_of_range: speed must be between 0 and 250 mph."
    ]


@pytest.mark.parametrize("value", [b"", b"\xff", b"[1,", b"[" * 100_000, b"[" + b"1," * 5000 + b"1]",
                                   b"[" + b'{"device_id":"d","timestamp":1794000000000},' * 5000 + b"1]"])  # fmt: skip
def test_a_record_that_is_none_is_dead_as_a_whole(value: bytes) -> None:
    batch = decode_records([Logged(value), Logged(f'{{"device_id":"d","timestamp":{MS}}}'.encode())])
    [(number, index, why, own)] = batch.dead
    assert (number, index, own) == (0, None, value)
    assert why.reason == ("invalid" if len(value) > 100 and value[1:2] != b"[" else "malformed")
    assert batch.record.tolist() == [1]


def test_a_typed_record_with_too_many_events_is_dead_as_a_whole() -> None:
    value = msgspec.json.encode([{"device_id": "d", "timestamp": MS}] * 5001)
    assert decode_records([Logged(value)]).dead[0][2].reason == "invalid"
    assert len(decode_records([Logged(value)]).columns) == 0


@pytest.mark.parametrize(
    ("header", "expected_us"),
    [("", NOW), ("x", NOW), ("-5", NOW), ("9" * 30, NOW), (str(NOW - 9), NOW - 9), (str(NOW + 9), NOW)],
)
def test_arrival_is_the_doors_time_but_never_after_the_logs(header: str, expected_us: int) -> None:
    batch = decode_records([Logged(b'{"device_id":"d","timestamp":1793999999999}', {"received_at": header})])
    assert batch.columns.received_us.tolist() == [expected_us]


def test_only_the_import_scope_lifts_the_late_window() -> None:
    old = b'{"device_id":"d","timestamp":"2019-05-23T20:54:11+00:00"}'
    batch = decode_records([Logged(old, {"scope": "import"}), Logged(old, {"scope": "ingest"})])
    assert batch.record.tolist() == [0]
    assert batch.dead[0][2].detail == "too_old: timestamp is older than 30 days; older events need an import."


def test_an_archived_month_takes_nothing_until_it_is_restored() -> None:
    policy = IngestPolicy(archived=ArchivedMonths([(2025, 12), (2019, 5)]))
    instants = ["2019-04-30T23:59:59Z", "2019-05-01T00:00:00Z", "2019-05-31T23:59:59.999999Z", "2019-06-01T00:00:00Z",
                "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"]  # fmt: skip
    record = Logged(encoded([{"device_id": "d", "timestamp": at} for at in instants]), {"scope": "import"})
    batch = decode_records([record], policy)
    assert batch.index.tolist() == [0, 3, 5]
    assert [(index, (why.detail or "").partition(":")[0]) for _, index, why, _ in batch.dead] == [
        (1, "month_archived"), (2, "month_archived"), (4, "month_archived"),
    ]  # fmt: skip
    policy.archived.replace([(2025, 12)])
    assert decode_records([record], policy).index.tolist() == [0, 1, 2, 3, 5]
