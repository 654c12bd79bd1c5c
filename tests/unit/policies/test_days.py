from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from auto_insurance.kernel.clock import local_date
from auto_insurance.policies.days import midnight


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        (date(2026, 1, 1), "America/New_York", datetime(2026, 1, 1, 5, tzinfo=UTC)),
        (date(2026, 7, 1), "America/New_York", datetime(2026, 7, 1, 4, tzinfo=UTC)),
        (date(2026, 7, 1), "Asia/Tokyo", datetime(2026, 6, 30, 15, tzinfo=UTC)),
        # Clocks jump from 00:00 to 01:00: the day begins at the jump.
        (date(2026, 3, 8), "America/Havana", datetime(2026, 3, 8, 5, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_midnight_of_the_place(day: date, zone: str, instant: datetime) -> None:
    assert midnight(day, zone) == instant
    assert local_date(instant, zone) == day


def test_the_date_is_that_of_the_place() -> None:
    at = datetime(2026, 1, 1, 3, tzinfo=UTC)
    assert local_date(at, "America/New_York") == date(2025, 12, 31)
    assert local_date(at, "Europe/Berlin") == date(2026, 1, 1)
