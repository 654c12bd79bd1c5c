"""Diaries: local times, days that do not overlap, who drives when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.devicekit.simulator import habits
from auto_insurance.devicekit.simulator.fleet import Fleet, FleetOptions
from auto_insurance.devicekit.simulator.style import STYLES

ZONE = ZoneInfo("America/New_York")
_DAYS = st.dates(date(2025, 1, 1), date(2027, 12, 31))


@lru_cache
def fleet(style: str, size: int = 8, seed: int = 2) -> Fleet:
    return Fleet(FleetOptions(seed=seed, size=size, mix={style: 1.0}))


def wall(day: date) -> datetime:
    """Midnight on the wall, without a zone."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).replace(tzinfo=None)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 6, day, hour, minute, tzinfo=ZONE)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(STYLES)), st.integers(0, 7), _DAYS)
def test_a_day_starts_and_ends_at_home_and_stays_within_itself(style: str, index: int, day: date) -> None:
    f = fleet(style)
    driver = f.drivers()[index]
    here = driver.places.home
    start = wall(day) + timedelta(hours=habits.day_start_hour(driver.style))
    for leg in f.legs(index, day):
        assert leg.origin == here
        assert leg.destination != here
        here = leg.destination
        local = leg.departs.astimezone(ZONE).replace(tzinfo=None)
        assert start <= local <= start + timedelta(hours=24) - timedelta(minutes=75)
    assert here == driver.places.home
    departures = [leg.departs for leg in f.legs(index, day)]
    assert departures == sorted(departures)


def test_a_commute_keeps_its_wall_clock_time_over_a_change_of_clocks() -> None:
    f = fleet("commuter")
    hours: dict[date, list[float]] = {}
    for day in (
        date(2026, 3, 5),
        date(2026, 3, 6),
        date(2026, 3, 9),
        date(2026, 3, 10),
    ):  # clocks went forward on the 8th
        for index in range(8):
            first = next((leg for leg in f.legs(index, day) if leg.purpose == "commute"), None)
            if first is not None:
                local = first.departs.astimezone(ZONE)
                assert local.date() == day
                hours.setdefault(day, []).append(local.hour + local.minute / 60)
    means = [sum(h) / len(h) for h in hours.values()]
    assert max(means) - min(means) < 0.5
    assert all(6.5 < mean < 8.7 for mean in means)


def test_night_shifts_drive_at_night_and_office_workers_do_not_on_working_days() -> None:
    week = [date(2026, 6, 1) + timedelta(days=k) for k in range(4)]
    nights = fleet("night_shift")
    night = [
        leg.departs.astimezone(ZONE).hour
        for i in range(8)
        for day in week
        for leg in nights.legs(i, day)
        if leg.purpose == "commute"
    ]
    assert len(night) > 40
    assert all(hour >= 21 or hour < 6 for hour in night)
    office = fleet("average")
    commutes = [leg for i in range(8) for day in week for leg in office.legs(i, day) if leg.purpose == "commute"]
    assert all(5 <= leg.departs.astimezone(ZONE).hour <= 20 for leg in commutes)


def test_weekends_have_no_commute_and_friday_nights_go_out_more() -> None:
    f = fleet("novice", size=20)
    saturday, friday, tuesday = date(2026, 6, 6), date(2026, 6, 5), date(2026, 6, 2)
    assert not [leg for i in range(20) for leg in f.legs(i, saturday) if leg.purpose == "commute"]

    def out(first: date) -> int:
        return sum(
            leg.purpose == "night_out"
            for i in range(20)
            for k in range(8)
            for leg in f.legs(i, first + timedelta(weeks=k))
        )

    assert out(friday) > 1.5 * out(tuesday) > 0


@pytest.mark.parametrize(
    ("local", "low", "high"),
    [
        (at(1, 8), 0.8, 1.0),
        (at(1, 17, 30), 0.8, 1.0),
        (at(6, 8), 0.1, 0.5),
        (at(1, 12), 0.1, 0.5),
        (at(1, 2), 0.0, 0.1),
    ],
)
def test_traffic_follows_the_hour(local: datetime, low: float, high: float) -> None:
    assert low <= habits.traffic(local) <= high
