"""Local clock and survival of ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auto_insurance.kernel.clock import to_us
from auto_insurance.trips import calendar
from auto_insurance.trips.calendar import LATE, NIGHT, RUSH, SLOT_US, WEEKEND, clock_of
from auto_insurance.trips.match import Span, match, overlap_us

CHICAGO = "America/Chicago"
pytestmark = pytest.mark.usefixtures("interpreted")


def slot_flags(zone: str, slot: int) -> int:
    return int(calendar.flags_at(clock_of([zone]), 0, slot))


def night_us(zone: str, from_us: int, to_us: int) -> int:
    return int(calendar.night_us(clock_of(["UTC", zone]), 1, from_us, to_us))


def us(text: str, zone: str = CHICAGO) -> int:
    return to_us(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


@pytest.mark.parametrize(
    ("local", "flags"),
    [
        ("2026-01-05T21:59", 0),
        ("2026-01-05T22:00", NIGHT),
        ("2026-01-06T00:00", NIGHT | LATE),
        ("2026-01-06T03:59", NIGHT | LATE),
        ("2026-01-06T04:00", NIGHT),
        ("2026-01-06T05:00", 0),
        ("2026-01-06T07:00", RUSH),
        ("2026-01-06T09:00", 0),
        ("2026-01-06T16:00", RUSH),
        ("2026-01-06T18:59", RUSH),
        ("2026-01-06T19:00", 0),
        ("2026-01-10T08:00", WEEKEND),
        ("2026-01-11T23:00", WEEKEND | NIGHT),
    ],
)
def test_the_local_clock(local: str, flags: int) -> None:
    assert slot_flags(CHICAGO, us(local) // SLOT_US) == flags


def test_night_of_the_change_to_and_from_summer_time() -> None:
    hour = 3_600_000_000
    assert night_us(CHICAGO, us("2026-03-07T12:00"), us("2026-03-08T12:00")) == 6 * hour
    assert night_us(CHICAGO, us("2026-10-31T12:00"), us("2026-11-01T12:00")) == 8 * hour
    assert night_us(CHICAGO, us("2026-01-05T12:00"), us("2026-01-06T12:00")) == 7 * hour


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.integers(-40_000, 1_500_000),
    st.sampled_from(
        [CHICAGO, "UTC", "Africa/Casablanca", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo"]
    ),
)
def test_the_clock_is_that_of_the_zone_whenever_it_changes(slot: int, zone: str) -> None:
    slot += 1_140_000
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=900 * slot)).astimezone(ZoneInfo(zone))
    flags = slot_flags(zone, slot)
    assert bool(flags & NIGHT) == (local.hour >= 22 or local.hour < 5)
    assert bool(flags & LATE) == (local.hour < 4)
    assert bool(flags & WEEKEND) == (local.weekday() >= 5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 30_000_000), st.integers(0, 90_000), st.sampled_from([CHICAGO, "Asia/Kathmandu", "UTC"]))
def test_night_is_what_the_clock_says_second_by_second(start_s: int, span_s: int, zone: str) -> None:
    start_s += 1_767_225_600
    step = 97
    span_s -= span_s % step
    got = sum(night_us(zone, t * 1_000_000, (t + 1) * 1_000_000) for t in range(start_s, start_s + span_s, step))
    want = 0
    for t in range(start_s, start_s + span_s, step):
        hour = datetime.fromtimestamp(t, UTC).astimezone(ZoneInfo(zone)).hour
        want += 1_000_000 * (hour >= 22 or hour < 5)
    assert got == want


def span(start: int, end: int, driver: str = "A") -> Span:
    return Span(driver, start, end)


def test_the_largest_overlap_keeps_the_id() -> None:
    old = [span(0, 10), span(12, 40)]
    assert match(old, [span(0, 40)]) == [1]
    assert match(old, [span(0, 10), span(11, 20), span(21, 40)]) == [0, None, 1]
    assert match(old, [span(0, 10, "B"), span(50, 60)]) == [None, None]
    assert match([span(0, 10), span(10, 20)], [span(5, 15)]) == [0]
    assert match([], [span(0, 1)]) == [None]


_spans = st.lists(st.builds(span, st.integers(0, 50), st.integers(51, 99), st.sampled_from("AB")), max_size=6)


@given(_spans, _spans)
def test_each_id_is_given_once_and_only_for_an_overlap(old: list[Span], new: list[Span]) -> None:
    kept = match(old, new)
    used = [index for index in kept if index is not None]
    assert len(used) == len(set(used))
    for index, after in zip(kept, new, strict=True):
        assert index is None or overlap_us(old[index], after) > 0
    left_old = [b for i, b in enumerate(old) if i not in used]
    left_new = [a for a, i in zip(new, kept, strict=True) if i is None]
    assert all(overlap_us(b, a) == 0 for b in left_old for a in left_new)


@given(_spans)
def test_the_same_trips_keep_their_own_ids(spans: list[Span]) -> None:
    distinct = [span(100 * i, 100 * i + 50 + i, s.driver_id) for i, s in enumerate(spans)]
    assert match(distinct, distinct) == list(range(len(distinct)))
