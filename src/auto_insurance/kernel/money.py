"""Money is ``Decimal`` and is rounded once, where the rating plan says."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def to_cents(amount: Decimal) -> Decimal:
    """Round half up to whole cents, the commercial convention of premium notices."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)
