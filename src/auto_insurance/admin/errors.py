"""What can go wrong on the operators' side."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind, FieldError, InvalidInput


class BadWindow(InvalidInput):
    """A period that ends before it begins, or is longer than can be answered at once."""

    code = "bad_window"

    def __init__(self, message: str) -> None:
        super().__init__(message, errors=[FieldError("query.from", "bad_window", message)])


class BadCursor(InvalidInput):
    """A cursor that this list did not give."""

    code = "bad_cursor"

    def __init__(self) -> None:
        message = "This cursor is not one of this list."
        super().__init__(message, errors=[FieldError("query.cursor", "bad_cursor", message)])


class DriverInsured(AppError):
    """The driver has a policy that runs or is about to begin."""

    kind = ErrorKind.CONFLICT
    code = "driver_insured"

    def __init__(self) -> None:
        super().__init__("This driver has a policy that runs, lapsed or is about to begin. End it first.")


class BookTripNotFound(AppError):
    """No such trip."""

    kind = ErrorKind.NOT_FOUND
    code = "trip_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such trip.")
