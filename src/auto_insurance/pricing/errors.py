"""What can go wrong when a premium is rated."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind


class InvalidPlan(AppError):
    """A rating plan that breaks a rule; the detail names file and place."""

    kind = ErrorKind.UNAVAILABLE
    code = "invalid_rating_plan"


class InvalidWorksheet(AppError):
    """A worksheet that does not lead from its first line to its last."""

    kind = ErrorKind.CONFLICT
    code = "invalid_worksheet"
