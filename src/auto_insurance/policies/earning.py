"""How the premium of a term is written and earned: pure, by whole days, exact to the cent.

A term of ``months`` costs ``annual premium x months / 12``; that is spread evenly over the days of the term, so that a
day of February costs what a day of March costs, and 366 days of a leap year share one year's premium. A segment is a
stretch of the term with one annual premium; an endorsement begins a new one.

Cents are rounded half up **on the running total**: what a segment costs is the rounded total at its end less the
rounded total at its start. So the segments always add up to the written premium, no segment is ever negative, the
remainder of rounding comes to rest in the last one, and what was earned before an endorsement does not move by a cent
because of it.

Days are dates of the risk's own time zone; cover begins and ends at 00:00, so ``to_on`` is the first day without.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import date
from decimal import Decimal, localcontext
from itertools import pairwise

import msgspec

from auto_insurance.kernel.money import CENT, to_cents

TERM_MONTHS = (6, 12)
_DIGITS = 60
"""The denominators are below 5,000: with 60 digits no quotient is ever mistaken for half a cent."""


class Term(msgspec.Struct, frozen=True):
    """A policy period ``[starts_on, ends_on)`` of 6 or 12 months."""

    starts_on: date
    ends_on: date
    months: int

    @property
    def days(self) -> int:
        """Days of the term, 181 to 366."""
        return (self.ends_on - self.starts_on).days


class Segment(msgspec.Struct, frozen=True):
    """A stretch ``[from_on, to_on)`` of a term with one annual premium.

    ``flat`` is an amount in whole cents that is written and earned at once on ``from_on``, such as what the insurer
    keeps on a short-rate cancellation; such a segment may have no days.
    """

    from_on: date
    to_on: date
    annual_premium: Decimal
    flat: Decimal = Decimal(0)

    @property
    def days(self) -> int:
        """Days of the segment."""
        return (self.to_on - self.from_on).days


def new_term(starts_on: date, months: int, anchor_day: int | None = None) -> Term:
    """Return the term that begins on a day.

    ``anchor_day`` is the day of the month on which the policy's first term began: a policy of 31 August renews on
    28 February and then on 31 August again. Raises ``ValueError`` for a length that is not offered.
    """
    if months not in TERM_MONTHS:
        raise ValueError(f"a term has {' or '.join(map(str, TERM_MONTHS))} months, not {months}")
    return Term(starts_on, add_months(starts_on, months, anchor_day), months)


def add_months(day: date, months: int, anchor_day: int | None = None) -> date:
    """Return the same day (or ``anchor_day``) some months on, the month's last day where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(anchor_day or day.day, last))


def written(segments: Sequence[Segment], term: Term) -> Decimal:
    """Return the premium of the whole term in cents. Raises ``ValueError`` for segments that do not fit the term."""
    return earned(segments, term, term.ends_on)


def earned(segments: Sequence[Segment], term: Term, on: date) -> Decimal:
    """Return what is earned when day ``on`` begins: of all days before it, and every flat amount up to it.

    It never falls with time, is 0 on the first day of a term without flat amounts, and from the end of the last
    segment on it is the written premium. Raises ``ValueError`` for segments that do not fit the term.
    """
    check(segments, term)
    return _total(segments, term, on)


def by_segment(segments: Sequence[Segment], term: Term) -> tuple[Decimal, ...]:
    """Return what each segment costs, in order; the sum is :func:`written`. Raises ``ValueError`` as above."""
    check(segments, term)
    totals = [Decimal(0), *(_total(segments[: n + 1], term, term.ends_on) for n in range(len(segments)))]
    return tuple(after - before for before, after in pairwise(totals))


def check(segments: Sequence[Segment], term: Term) -> None:
    """Raise ``ValueError`` unless the segments are in order, apart, within the term and not negative.

    Days without a segment are days without cover.
    """
    for segment in segments:
        if not term.starts_on <= segment.from_on <= segment.to_on <= term.ends_on:
            raise ValueError(f"the segment from {segment.from_on} to {segment.to_on} is not within the term")
        if segment.annual_premium < 0 or segment.flat < 0:
            raise ValueError(f"the segment from {segment.from_on} has a negative premium")
        if segment.flat != segment.flat.quantize(CENT):
            raise ValueError(f"the flat amount of the segment from {segment.from_on} is not in whole cents")
    for before, after in pairwise(segments):
        if after.from_on < before.to_on:
            raise ValueError(f"the segments from {before.from_on} and {after.from_on} overlap")


def _total(segments: Sequence[Segment], term: Term, on: date) -> Decimal:
    """Return ``sum(annual x months x days) / (12 x days of the term)``, rounded once, and the flat amounts."""
    with localcontext() as context:
        context.prec = _DIGITS
        shares, flat = Decimal(0), Decimal(0)
        for segment in segments:
            if on >= segment.from_on:
                shares += segment.annual_premium * (min(on, segment.to_on) - segment.from_on).days
                flat += segment.flat
        return to_cents(shares * term.months / (12 * term.days)) + flat
