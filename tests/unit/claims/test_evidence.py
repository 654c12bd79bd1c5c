"""The frozen form: the same events give the same bytes, any change gives another checksum."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.claims import evidence
from auto_insurance.claims.evidence import Window
from auto_insurance.kernel.clock import to_us
from auto_insurance.telematics.schemas import Sample
from tests.support.trips import Drive

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
WINDOW = Window(AT - timedelta(seconds=60), AT + timedelta(seconds=30))
SAMPLES = Drive(t_us=to_us(AT - timedelta(seconds=60))).go(12.0, 90).samples
CONTENT = evidence.canonical(SAMPLES)
SUM = evidence.checksum("CLM-000001", 1, WINDOW, None, CONTENT)


def test_the_window_is_ninety_seconds() -> None:
    assert evidence.window_of(AT) == WINDOW


@given(st.permutations(SAMPLES[:8]))
def test_order_does_not_matter(order: list[Sample]) -> None:
    assert evidence.canonical(order) == evidence.canonical(SAMPLES[:8])


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_any_changed_byte_is_seen(place: int, by: int) -> None:
    changed = bytearray(CONTENT)
    changed[place] ^= by
    assert evidence.checksum("CLM-000001", 1, WINDOW, None, bytes(changed)) != SUM


@pytest.mark.parametrize(
    ("claim_id", "version", "window", "before"),
    [
        ("CLM-000002", 1, WINDOW, None),
        ("CLM-000001", 2, WINDOW, None),
        ("CLM-000001", 1, Window(AT, WINDOW.end), None),
        ("CLM-000001", 1, WINDOW, "abc"),
    ],
)
def test_the_checksum_holds_claim_version_window_and_the_one_before(
    claim_id: str, version: int, window: Window, before: str | None
) -> None:
    assert evidence.checksum(claim_id, version, window, before, CONTENT) != SUM


def test_the_checksum_can_be_made_with_other_tools() -> None:
    """Documented form: header lines, then JSON with sorted keys and without blanks."""
    import hashlib

    lines = f"CLM-000001\n1\n{to_us(WINDOW.start)}\n{to_us(WINDOW.end)}\n-\n".encode()
    again = json.dumps(json.loads(CONTENT), sort_keys=True, separators=(",", ":")).encode()
    assert hashlib.sha256(lines + again).hexdigest() == SUM


def test_later_flags_and_arrivals_are_the_same_events() -> None:
    flagged = [msgspec.structs.replace(sample, quality=8, received_us=sample.received_us + 5) for sample in SAMPLES]
    assert evidence.same_events(CONTENT, evidence.canonical(flagged))


def test_more_events_and_changed_events_are_told_apart() -> None:
    fewer = evidence.canonical(SAMPLES[:50])
    assert evidence.contains(CONTENT, fewer)
    assert not evidence.contains(fewer, CONTENT)
    slower = [msgspec.structs.replace(SAMPLES[0], speed_mph=1.0), *SAMPLES[1:]]
    assert not evidence.contains(evidence.canonical(slower), CONTENT)
    assert not evidence.same_events(evidence.canonical(slower), CONTENT)


def test_path_and_speeds() -> None:
    path, speeds = evidence.path(CONTENT), evidence.speeds(CONTENT, AT)
    assert len(path) > 80
    assert (path[0][1], path[0][0]) == (SAMPLES[0].latitude, SAMPLES[0].longitude)
    assert (speeds[0]["offset_s"], speeds[0]["device_id"]) == (
        round((SAMPLES[0].t_us - to_us(AT)) / 1e6, 3), SAMPLES[0].device_id,
    )  # fmt: skip
    doubtful = [msgspec.structs.replace(sample, quality=4) for sample in SAMPLES]
    assert evidence.path(evidence.canonical(doubtful)) == []


def test_a_second_device_does_not_zigzag_through_the_path() -> None:
    other = [msgspec.structs.replace(sample, device_id="phone", latitude=0.0) for sample in SAMPLES[:10]]
    both = evidence.canonical([*SAMPLES, *other])
    assert evidence.path(both) == evidence.path(CONTENT)


def test_what_is_no_list_is_refused() -> None:
    with pytest.raises(ValueError, match="not a list"):
        evidence.events_of(b"{}")
