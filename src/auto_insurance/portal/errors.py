"""Errors of the driver-facing reads."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind
from auto_insurance.trips.errors import TripNotFound

__all__ = ["BadPeriod", "TripNotFound"]


class BadPeriod(AppError):
    """The period ends before it starts."""

    kind = ErrorKind.INVALID
    code = "bad_period"
