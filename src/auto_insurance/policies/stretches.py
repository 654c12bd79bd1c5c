"""The arithmetic of a term: its stretches, what they cost, and what a change or a cancellation makes of them. Pure.

A term is a chain of stretches. Each begins with what was agreed on its first day: the bind, or an endorsement. An
endorsement holds from its day to the end of the term, whatever came later; so one that is booked late but takes effect
early goes in between, and those that take effect after it are applied again on top.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import ROUND_CEILING, Decimal, localcontext
from enum import StrEnum
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

import msgspec

from auto_insurance.kernel.money import to_cents
from auto_insurance.policies.earning import Segment, Term, by_segment

ZERO = Decimal(0)
HUNDRED = Decimal(100)
_DIGITS = 60


class CoverPart(msgspec.Struct, frozen=True):
    """A cover with its limit and deductible as amounts of money; None: not stated, or several (then see ``option``).

    ``option`` is how the rating plan words it, such as ``50/100``.
    """

    coverage: str
    limit: Decimal | None = None
    deductible: Decimal | None = None
    option: str = ""


class PerMile(msgspec.Struct, frozen=True):
    """What a mile costs, and how many miles of a day are charged at most (None: all)."""

    rate_per_mile: Decimal
    daily_cap_miles: Decimal | None = None


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """What a year costs and what the price rests on. ``fees`` are of a whole term, whatever its length.

    ``tax_rate`` is taxes over premium, ``fee_taxes`` the taxes on the fees. ``premium_id`` is the stored version with
    the worksheet, None in a preview.
    ``annual_without_telematics`` is the price of somebody alike who does not take part.
    """

    annual_premium: Decimal
    tax_rate: Decimal = ZERO
    fees: Decimal = ZERO
    fee_taxes: Decimal = ZERO
    product: str = "phyd"
    currency: str = "USD"
    plan_version: str = ""
    model_version: str | None = None
    premium_id: str | None = None
    per_mile: PerMile | None = None
    coverages: tuple[CoverPart, ...] = ()
    annual_without_telematics: Decimal | None = None
    telematics_relativity: Decimal = Decimal(1)


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A part ``[from_on, to_on)`` of a term with one rate; may have no days.

    ``changes`` is what the transaction that began it changed, ``facts`` what holds: everything before it and the
    changes. ``flat`` is kept from its first day on, see :class:`auto_insurance.policies.earning.Segment`.
    """

    from_on: date
    to_on: date
    transaction_id: str
    changes: Mapping[str, Any]
    facts: Mapping[str, Any]
    rate: Rate
    flat: Decimal = ZERO

    @property
    def segment(self) -> Segment:
        """The stretch as it is earned."""
        return Segment(self.from_on, self.to_on, self.rate.annual_premium, self.flat)


class Money(msgspec.Struct, frozen=True):
    """What a term, or a change of one, costs: amounts in whole cents."""

    written: Decimal = ZERO
    fees: Decimal = ZERO
    taxes: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        """What the policyholder pays."""
        return self.written + self.fees + self.taxes

    def less(self, other: Money) -> Money:
        """Return the difference."""
        return Money(self.written - other.written, self.fees - other.fees, self.taxes - other.taxes)


class LineKind(StrEnum):
    """What a line of a transaction does."""

    APPLY = "apply"
    REVERSE = "reverse"
    REAPPLY = "reapply"


class TransactionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a transaction's money: what it undoes or does of which transaction. The lines add up to it."""

    kind: LineKind
    transaction_id: str
    effective_on: date
    money: Money


def segments(stretches: Sequence[Stretch]) -> tuple[Segment, ...]:
    """Return the stretches as they are earned."""
    return tuple(stretch.segment for stretch in stretches)


def money(stretches: Sequence[Stretch], term: Term) -> Money:
    """Return what a term costs: written premium, its fees once, and taxes on the premium, rounded once half up.

    A term of which nothing is left has no fees either.
    """
    if not stretches:
        return Money()
    with localcontext() as context:
        context.prec = _DIGITS
        shares = by_segment(segments(stretches), term)
        taxes = sum((share * one.rate.tax_rate for share, one in zip(shares, stretches, strict=True)), ZERO)
        once = stretches[0].rate
        return Money(sum(shares, ZERO), once.fees, to_cents(taxes) + once.fee_taxes)


def by_stretch(stretches: Sequence[Stretch], term: Term) -> tuple[Decimal, ...]:
    """Return what each stretch costs, in order; together the written premium."""
    return by_segment(segments(stretches), term)


def first(term: Term, transaction_id: str, facts: Mapping[str, Any], rate: Rate) -> tuple[Stretch, ...]:
    """Return a term that has just been agreed."""
    whole = Stretch(
        from_on=term.starts_on, to_on=term.ends_on, transaction_id=transaction_id, changes={}, facts=facts, rate=rate
    )
    return (whole,)


class Step(msgspec.Struct, frozen=True):
    """A stretch that has to be rated: from which day, by which transaction, what it changes and what holds then."""

    from_on: date
    transaction_id: str
    changes: Mapping[str, Any]
    facts: Mapping[str, Any]


def steps(
    stretches: Sequence[Stretch], effective_on: date, transaction_id: str, changes: Mapping[str, Any]
) -> tuple[int, tuple[Step, ...]]:
    """Return how many stretches stay as they are and what is to be rated: the change, then all later ones on top."""
    kept = sum(1 for stretch in stretches if stretch.from_on <= effective_on)
    if not kept:
        raise ValueError("the change is before the term")
    facts = {**stretches[kept - 1].facts, **changes}
    found = [Step(effective_on, transaction_id, changes, facts)]
    for later in stretches[kept:]:
        facts = {**facts, **later.changes}
        found.append(Step(later.from_on, later.transaction_id, later.changes, facts))
    return kept, tuple(found)


def endorsed(
    stretches: Sequence[Stretch], kept: int, rated: Sequence[tuple[Step, Rate]], term: Term
) -> tuple[Stretch, ...]:
    """Return the term with the stretches that :func:`steps` asked for in place."""
    found = list(stretches[:kept])
    for step, rate in rated:
        found.append(
            Stretch(
                from_on=step.from_on,
                to_on=term.ends_on,
                transaction_id=step.transaction_id,
                changes=step.changes,
                facts=step.facts,
                rate=rate,
            )
        )
    return joined(found, term)


def joined(stretches: Sequence[Stretch], term: Term) -> tuple[Stretch, ...]:
    """Return stretches in order with each ending where the next begins, the last with the term."""
    ends = [*(stretch.from_on for stretch in stretches[1:]), term.ends_on]
    return tuple(msgspec.structs.replace(stretch, to_on=end) for stretch, end in zip(stretches, ends, strict=True))


def lines(before: Sequence[Stretch], after: Sequence[Stretch], kept: int, term: Term) -> tuple[TransactionLine, ...]:
    """Return what an endorsement does: later ones undone from the last on, itself, and the later ones applied again.

    Each line is the difference that one stretch makes, so that they add up to the difference of the whole.
    """

    def costs(chain: Sequence[Stretch], number: int) -> Money:
        return money(joined(chain[:number], term), term)

    def line(kind: LineKind, stretch: Stretch, change: Money) -> TransactionLine:
        return TransactionLine(
            kind=kind, transaction_id=stretch.transaction_id, effective_on=stretch.from_on, money=change
        )

    undone = [
        line(LineKind.REVERSE, before[n - 1], costs(before, n - 1).less(costs(before, n)))
        for n in range(len(before), kept, -1)
    ]
    done = [
        line(LineKind.APPLY if n == kept else LineKind.REAPPLY, after[n], costs(after, n + 1).less(costs(after, n)))
        for n in range(kept, len(after))
    ]
    return (*undone, *done)


# --- cancellation ---


class Method(StrEnum):
    """How a cancelled term is paid for."""

    PRO_RATA = "pro_rata"
    """By the days of cover."""
    SHORT_RATE = "short_rate"
    """By the table: more than the days, since the policyholder ends it early."""
    FLAT = "flat"
    """Not at all: as if it had never been, fees included."""


class ShortRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The short-rate table: of which year, and how much is kept up to which day in force."""

    source: str
    year_days: int
    steps: tuple[tuple[int, Decimal], ...]

    def kept_share(self, days: int, term_days: int) -> Decimal:
        """Return the share of a term's premium that is kept after some days of it, 0-1.

        A term of another length is scaled to the year of the table; a part of a day counts as a day.
        """
        if days <= 0:
            return ZERO
        scaled = (Decimal(days * self.year_days) / term_days).to_integral_value(ROUND_CEILING)
        return next((share for day, share in self.steps if scaled <= day), HUNDRED) / HUNDRED


@cache
def short_rate_table() -> ShortRate:
    """Return the shipped table. Raises ``ValueError`` if it is not one."""
    text = resources.files("auto_insurance.policies").joinpath("data", "short_rate.toml").read_text(encoding="utf-8")
    table = msgspec.convert(tomllib.loads(text, parse_float=Decimal), ShortRate, strict=False)
    check_table(table)
    return table


def check_table(table: ShortRate) -> None:
    """Raise ``ValueError`` unless the table rises with the days and ends with everything on the year's last day."""
    for (day, share), (next_day, next_share) in pairwise(table.steps):
        if not (0 < day < next_day and ZERO < share <= next_share):
            raise ValueError(f"the short-rate table does not rise at day {next_day}")
    if not table.steps or table.steps[-1] != (table.year_days, HUNDRED):
        raise ValueError("the short-rate table does not end with 100 % on the year's last day")


def cancelled(
    stretches: Sequence[Stretch], term: Term, on: date, method: Method, table: ShortRate | None = None
) -> tuple[Stretch, ...]:
    """Return what is left of a term that ends on a day: cover ends when that day begins.

    Short rate keeps the table's share of what the whole term would have cost, at least what its days cost; the part
    above the days is a flat amount on the day of the cancellation.
    """
    if method is Method.FLAT:
        return ()
    left = tuple(msgspec.structs.replace(one, to_on=min(one.to_on, on)) for one in stretches if one.from_on <= on)
    if method is Method.PRO_RATA or not left:
        return left
    share = (table or short_rate_table()).kept_share((on - term.starts_on).days, term.days)
    by_days = money(left, term).written
    kept = to_cents(money(stretches, term).written * share)
    if kept <= by_days:
        return left
    last = left[-1]
    return (*left, msgspec.structs.replace(last, from_on=on, to_on=on, changes={}, flat=kept - by_days))
