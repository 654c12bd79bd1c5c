"""Errors of the driver-facing reads."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind


class TripNotFound(AppError):
    """No such trip, or it is somebody else's."""

    kind = ErrorKind.NOT_FOUND
    code = "trip_not_found"


class BadPeriod(AppError):
    """The period ends before it starts."""

    kind = ErrorKind.INVALID
    code = "bad_period"
