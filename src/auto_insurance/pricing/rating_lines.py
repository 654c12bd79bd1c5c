"""The worksheet of a premium: lines that each start where the last one ended, and their replay. Pure, decimal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext

import msgspec

from auto_insurance.kernel.money import CENT, to_cents
from auto_insurance.pricing.errors import InvalidWorksheet

DIGITS = 60
"""Enough that no product of a base rate and a dozen factors is ever rounded on the way."""
RATE = Decimal("0.0001")
"""A rate per mile has four decimals."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the worksheet.

    ``operation``: ``start`` sets the amount to ``factor``, ``add`` adds it, ``multiply`` by it, ``at_least`` lifts to
    it, ``round`` to cents half up, ``share`` multiplies by it and rounds to cents, ``divide`` by it and rounds to
    cents, ``per_unit`` divides by it and rounds to four decimals. ``source`` is the row of the plan, ``detail`` the
    way to the factor.
    """

    step: int
    code: str
    label: str
    input: str
    operation: str
    factor: Decimal | None
    amount_before: Decimal
    amount_after: Decimal
    source: str
    detail: dict[str, str] = {}


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What the lines of a worksheet lead to; see ``rating.Rating``."""

    annual_premium: Decimal
    monthly_premium: Decimal
    fees: Decimal
    taxes: Decimal
    rate_per_mile: Decimal | None


class Sheet:
    """Collects lines; each starts where the last one ended."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.amount = Decimal(0)

    def add(
        self,
        code: str,
        label: str,
        given: str,
        operation: str,
        factor: Decimal | None,
        source: str,
        detail: dict[str, str] | None = None,
    ) -> Decimal:
        """Apply an operation to the amount, note the line, return the new amount."""
        before, self.amount = self.amount, apply(operation, factor, self.amount)
        self.lines.append(
            Line(
                step=len(self.lines) + 1,
                code=code,
                label=label,
                input=given,
                operation=operation,
                factor=factor,
                amount_before=before,
                amount_after=self.amount,
                source=source,
                detail=detail or {},
            )
        )
        return self.amount


def replay(worksheet: Sequence[Line]) -> tuple[Decimal, Decimal]:
    """Return the annual and monthly premium that the lines lead to.

    Raises ``InvalidWorksheet`` if a line does not start where the one before ended or ends elsewhere than it says.
    """
    replayed = replay_all(worksheet)
    return replayed.annual_premium, replayed.monthly_premium


def replay_all(worksheet: Sequence[Line]) -> Replayed:
    """Return everything that the lines lead to. Raises ``InvalidWorksheet`` as :func:`replay` does."""
    amount, fees, found = Decimal(0), Decimal(0), dict[str, Decimal]()
    with localcontext() as context:
        context.prec = DIGITS
        for line in worksheet:
            if line.amount_before != amount:
                raise InvalidWorksheet(f"step {line.step} ({line.code}) does not start at the amount before it")
            amount = apply(line.operation, line.factor, amount)
            if line.amount_after != amount:
                raise InvalidWorksheet(f"step {line.step} ({line.code}) does not lead to its amount")
            found[line.code] = amount
            if line.code.startswith("fee."):
                fees += amount
    if "annual" not in found or "monthly" not in found:
        raise InvalidWorksheet("the worksheet has no annual premium")
    return Replayed(
        annual_premium=found["annual"],
        monthly_premium=found["monthly"],
        fees=to_cents(fees),
        taxes=found.get("taxes", Decimal("0.00")),
        rate_per_mile=found.get("rate_per_mile"),
    )


def base_premium(worksheet: Sequence[Line]) -> Decimal:
    """Return the amount before the first factor: the base rate, or the sum of the covers' prices."""
    covers = [line.amount_after for line in worksheet if line.code == "base" or line.code.startswith("base.")]
    return covers[-1] if covers else Decimal(0)


def apply(operation: str, factor: Decimal | None, amount: Decimal) -> Decimal:
    """Return the amount after an operation, see :class:`Line`. Raises ``InvalidWorksheet`` for one that is unknown."""
    if operation == "round":
        return to_cents(amount)
    if operation not in _OPERATIONS:
        raise InvalidWorksheet(f"unknown operation {operation}")
    if factor is None or (factor == 0 and operation in ("divide", "per_unit")):
        raise InvalidWorksheet(f"operation {operation} needs a factor")
    return _OPERATIONS[operation](amount, factor)


def tidy(amount: Decimal) -> Decimal:
    """Return the same amount without zeros at its end, but with cents."""
    plain = amount.normalize()
    exponent = plain.as_tuple().exponent
    return plain if isinstance(exponent, int) and exponent < -2 else amount.quantize(CENT)


_OPERATIONS: Mapping[str, Callable[[Decimal, Decimal], Decimal]] = {
    "start": lambda _, factor: factor,
    "add": lambda amount, factor: tidy(amount + factor),
    "multiply": lambda amount, factor: tidy(amount * factor),
    "at_least": max,
    "share": lambda amount, factor: to_cents(amount * factor),
    "divide": lambda amount, factor: to_cents(amount / factor),
    "per_unit": lambda amount, factor: (amount / factor).quantize(RATE, ROUND_HALF_UP),
}
