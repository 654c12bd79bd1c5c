"""Pauses grow, stay within bounds, and end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.webhooks.retrying import RetryPlan, retry_after_s

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PLAN = RetryPlan()


@given(
    attempts=st.integers(0, 50),
    asked=st.none() | st.floats(0, 1e12),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_every_pause_is_bounded_and_the_last_attempt_has_none(
    attempts: int, asked: float | None, chance: float
) -> None:
    pause = PLAN.pause_s(attempts, asked, chance)
    if attempts >= PLAN.attempts:
        assert pause is None
        return
    plain = PLAN.first_s * 4 ** (max(attempts, 1) - 1)
    assert pause is not None
    assert 0.8 * plain - 1e-6 <= pause <= max(1.2 * plain, PLAN.retry_after_most_s)
    if asked is not None:
        assert pause >= min(asked, PLAN.retry_after_most_s)


def test_eight_attempts_span_about_a_day() -> None:
    pauses = [PLAN.pause_s(attempt, None, 0.5) for attempt in range(1, 8)]
    assert [round(pause or 0) for pause in pauses] == [15, 60, 240, 960, 3840, 15360, 61440]
    assert 20 < sum(pause or 0 for pause in pauses) / 3600 < 24
    assert PLAN.pause_s(8, 5.0, 0.5) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("-5", None),
        ("9" * 60, 1e9),
        ("9" * 65, None),
        ("soon", None),
        ("٣", None),
        ("Mon, 01 Jun 2026 12:02:00 GMT", 120.0),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0.0),
        ("Mon, 01 Jun 2026 12:01:00 -0000", 60.0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds
