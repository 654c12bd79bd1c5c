"""Months: their arithmetic, their names, what may leave."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.infra.db import partitions
from auto_insurance.infra.db.partitions import InvalidMonth, Month, month_at, month_of, parse_month, partition_of
from auto_insurance.kernel import clock

MONTHS = st.builds(Month, st.integers(1000, 9000), st.integers(1, 12))
INSTANTS_US = st.integers(-(10**15), 4 * 10**15)


@given(MONTHS, st.integers(-500, 500))
def test_months_add_up(month: Month, steps: int) -> None:
    assert month.plus(steps).plus(-steps) == month
    assert month_at(month.number) == month
    assert (month.plus(steps).number - month.number) == steps
    assert month.end == month.plus(1).start
    assert 28 <= (month.end - month.start).days <= 31


@settings(deadline=None)
@given(INSTANTS_US, st.integers(-14 * 60, 14 * 60))
def test_an_instant_lies_in_its_month_whatever_the_zone(t_us: int, minutes: int) -> None:
    at = clock.from_us(t_us)
    month = month_of(at.astimezone(timezone(timedelta(minutes=minutes))))
    assert month.start <= at < month.end
    assert partitions.month_indices(np.array([t_us])).tolist() == [month.number]
    assert partitions.months_of_us([t_us]) == [month]


@settings(deadline=None)
@given(st.lists(INSTANTS_US, max_size=30))
def test_distinct_months_come_in_order(times: list[int]) -> None:
    assert partitions.months_of_us(times) == sorted({month_of(clock.from_us(t_us)) for t_us in times})


@given(MONTHS)
def test_a_month_is_read_as_it_is_written(month: Month) -> None:
    assert parse_month(str(month)) == month
    assert parse_month(partition_of("events", month).name.removeprefix("events_")) == month


@pytest.mark.parametrize(
    "given_text", ["", "2025", "2025-13", "2025-00", "0000-01", "25-01", "2025-1", "2025-01-01", "May"]
)
def test_what_is_no_month_is_told(given_text: str) -> None:
    with pytest.raises(InvalidMonth, match="such as 2025-01"):
        parse_month(given_text)


def test_the_borders_of_a_month_are_utc() -> None:
    newest = datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert month_of(newest) == Month(2025, 12)
    assert month_of(newest + timedelta(microseconds=1)) == Month(2026, 1)


def test_what_is_kept_in_memory_can_not_be_closed() -> None:
    now = month_of(clock.now())
    for age in range(-30, 30):
        month = now.plus(-age)
        assert not (partitions.is_hot(month) and partitions.is_closable(month))
    assert partitions.is_hot(now.plus(-partitions.HOT_AGE))
    assert not partitions.is_closable(now.plus(1 - partitions.CLOSABLE_AGE))
    assert partitions.HOT_AGE < partitions.CLOSABLE_AGE - 1, "clocks of processes may lie in different months"
