"""What can go wrong with trips and what is said against them."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind


class TripNotFound(AppError):
    """No such trip, or it is somebody else's."""

    kind = ErrorKind.NOT_FOUND
    code = "trip_not_found"


class TripNotDisputable(AppError):
    """Only a completed trip can be disputed."""

    kind = ErrorKind.CONFLICT
    code = "trip_not_disputable"

    def __init__(self) -> None:
        super().__init__("Only a completed trip can be disputed.")


class TripAlreadyDisputed(AppError):
    """A trip is disputed once; its dispute is decided once."""

    kind = ErrorKind.CONFLICT
    code = "trip_already_disputed"

    def __init__(self) -> None:
        super().__init__("This trip has a dispute already.")


class DisputeNotFound(AppError):
    """No such dispute."""

    kind = ErrorKind.NOT_FOUND
    code = "dispute_not_found"

    def __init__(self) -> None:
        super().__init__("No such dispute.")


class DisputeDecided(AppError):
    """A dispute that was decided the other way."""

    kind = ErrorKind.CONFLICT
    code = "dispute_decided"

    def __init__(self) -> None:
        super().__init__("This dispute was decided otherwise; a decision stands.")
