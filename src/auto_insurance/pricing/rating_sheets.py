"""A single worksheet out of the columns of a whole book."""

from __future__ import annotations

from decimal import Decimal, localcontext

from auto_insurance.pricing.rating_book import RatedBook
from auto_insurance.pricing.rating_lines import DIGITS, Line, Sheet


def worksheet(rated: RatedBook, row: int) -> tuple[Line, ...]:
    """Return the steps of a row up to the premium of the year in cents, exact: factors have few digits.

    A factor is the shortest decimal of its double, which is the plan's own as long as that has 15 digits at most.
    Only what all discounts leave at least is a product itself and carries the double's error, far below a cent.
    """
    sheet = Sheet()
    with localcontext() as context:
        context.prec = DIGITS
        for step in rated.steps:
            if step.source[row] < 0:
                continue
            operation = "start" if step.operation == "add" and not sheet.lines else step.operation
            source = step.sources[step.source[row]]
            sheet.add(step.code, step.label, "", operation, Decimal(repr(float(step.factor[row]))), source)
        sheet.add("year", "Premium of the year, rounded to cents", "", "round", None, "rounding")
    return tuple(sheet.lines)
