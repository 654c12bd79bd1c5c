"""What a row of the training data set is a row of."""

from __future__ import annotations

from enum import StrEnum


class PeriodKind(StrEnum):
    """A calendar month (UTC) of a driver, or a term of a policy."""

    MONTH = "month"
    TERM = "term"
