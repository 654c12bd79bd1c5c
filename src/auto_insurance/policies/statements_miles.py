"""The miles of a month and what they cost: pure.

A trip belongs to the local day on which it began. What a day costs is its miles, at most the daily cap, times the
rate, rounded half up to cents once per day: so a statement can be checked line by line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from auto_insurance.kernel.money import to_cents
from auto_insurance.policies.postings import ZERO, MileRate

TENTH = Decimal("0.1")


class DayLine(msgspec.Struct, frozen=True):
    """A day on which there is something to charge: miles to a tenth, what of them is charged, and the money."""

    on: date
    miles: Decimal
    charged_miles: Decimal
    rate_per_mile: Decimal
    amount: Decimal


class CorrectionLine(msgspec.Struct, frozen=True):
    """A day of an earlier statement of which more is known now. Amounts may be negative."""

    on: date
    reason: str
    miles_before: Decimal
    miles_now: Decimal
    amount: Decimal


def miles_of(distances: Iterable[float]) -> Decimal:
    """Return the sum of a day's distances, rounded half up to a tenth of a mile once."""
    total = sum((Decimal(repr(miles)) for miles in distances), ZERO)
    return total.quantize(TENTH, ROUND_HALF_UP)


def rate_on(rates: Sequence[MileRate], on: date) -> MileRate | None:
    """Return the rate of a day, of rates in order of days; None before the first."""
    return next((rate for rate in reversed(rates) if rate.from_on <= on), None)


def day_line(on: date, miles: Decimal, rates: Sequence[MileRate], *, covered: bool = True) -> DayLine:
    """Return what a day costs: nothing without cover or a rate."""
    rate = rate_on(rates, on) if covered else None
    if rate is None:
        return DayLine(on, miles, ZERO, ZERO, ZERO)
    charged = miles if rate.daily_cap_miles is None else min(miles, rate.daily_cap_miles)
    return DayLine(on, miles, charged, rate.rate_per_mile, to_cents(charged * rate.rate_per_mile))


def month_lines(
    month: date, miles: Mapping[date, Decimal], rates: Sequence[MileRate], covered: Mapping[date, bool]
) -> tuple[DayLine, ...]:
    """Return a line for each day of a month with miles, in order; ``covered`` lacks no day with miles."""
    days = sorted(day for day, driven in miles.items() if driven > 0 and month <= day < next_month(month))
    return tuple(day_line(day, miles[day], rates, covered=covered[day]) for day in days)


def correction(before: DayLine, now: DayLine, reason: str) -> CorrectionLine | None:
    """Return the line that turns what was charged for a day into what it costs, None if that is the same."""
    if before.amount == now.amount and before.miles == now.miles:
        return None
    return CorrectionLine(now.on, reason, before.miles, now.miles, now.amount - before.amount)


def month_of(day: date) -> date:
    """Return the first day of a day's month."""
    return day.replace(day=1)


def next_month(month: date) -> date:
    """Return the first day of the month after."""
    return month_of(month_of(month) + timedelta(days=32))
