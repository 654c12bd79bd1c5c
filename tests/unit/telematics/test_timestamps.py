"""Many timestamps at once are read as each by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.kernel.clock import from_us, to_us
from auto_insurance.telematics.timestamps import NO_TIME, parse_timestamp, parse_timestamps

offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.builds(
    lambda t_us, zone: from_us(t_us).astimezone(zone), st.integers(-(10**15), 10**16), st.just(UTC) | offsets
)
usual = instants.flatmap(
    lambda at: st.sampled_from(["seconds", "milliseconds", "microseconds"]).map(
        lambda spec: at.isoformat(timespec=spec).replace("+00:00", "Z" if at.microsecond % 2 else "+00:00")
    )
)


def one_by_one(values: list[str | int | float]) -> list[int]:
    return [NO_TIME if (at := parse_timestamp(value)) is None else at for value in values]


@settings(max_examples=40, deadline=None)
@given(st.lists(usual, min_size=24, max_size=40), st.data())
def test_usual_texts_also_with_a_wrong_character(values: list[str], data: st.DataObject) -> None:
    for _ in range(3):
        place = data.draw(st.integers(0, len(values) - 1))
        at = data.draw(st.integers(0, len(values[place]) - 1))
        wrong = data.draw(st.sampled_from("0123456789:-+TZ. z/\u0661"))
        values[place] = values[place][:at] + wrong + values[place][at + 1 :]
    assert parse_timestamps(values).tolist() == one_by_one([*values])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.integers() | st.floats() | st.text(max_size=34) | usual | st.integers(0, 4_000_000_000_000), max_size=30
    )
)
def test_anything_mixed(values: list[str | int | float]) -> None:
    wanted = one_by_one(values)
    found = parse_timestamps(values).tolist()
    assert [max(NO_TIME, at) for at in found] == [max(NO_TIME, at) for at in wanted]


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T00:00:00Z",
        "2024-02-29T23:59:59Z",
        "2026-13-01T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00z",
        "2026-01-01T00:00:00,123456Z",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00-00:60",
        "2026-01-01T00:00:00-12:59",
        "9999-12-31T23:59:59Z",
        "1969-12-31T23:59:59Z",
        "20260101T000000.123456789012Z",
    ],
)
def test_the_calendars_edges(text: str) -> None:
    assert parse_timestamps([text] * 30).tolist() == one_by_one([text] * 30)


def test_timestamps_are_exact() -> None:
    assert parse_timestamp("2026-11-06T20:40:00.123457+02:00") == to_us(
        datetime.fromisoformat("2026-11-06T18:40:00.123457+00:00")
    )
    assert parse_timestamp("2026-11-06T18:40:00Z") == parse_timestamp("2026-11-06T20:40:00+02:00")
    assert parse_timestamp(1_794_000_000_123) == 1_794_000_000_123_000
    assert parse_timestamp(1_794_000_000_123.25) == 1_794_000_000_123_250
