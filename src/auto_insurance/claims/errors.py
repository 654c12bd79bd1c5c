"""What can go wrong with claims."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind, FieldError, InvalidInput


class ClaimNotFound(AppError):
    """No such claim, or it is somebody else's: the two answer alike."""

    kind = ErrorKind.NOT_FOUND
    code = "claim_not_found"

    def __init__(self) -> None:
        super().__init__("No such claim.")


class ClaimVehicleUnknown(InvalidInput):
    """The vehicle is none of the driver's."""

    code = "claim_vehicle_unknown"

    def __init__(self) -> None:
        message = "The driver has no such vehicle."
        super().__init__(message, errors=[FieldError("body.vehicle_id", "unknown", message)])


class LossTimeWrong(InvalidInput):
    """A loss that is still to come or too long ago."""

    code = "loss_time_wrong"

    def __init__(self, message: str) -> None:
        super().__init__(message, errors=[FieldError("body.occurred_at", "out_of_range", message)])


class ClaimMoveRefused(AppError):
    """The claim can't be moved so; the detail says why."""

    kind = ErrorKind.CONFLICT
    code = "claim_move_refused"


class ClaimMoveNotAllowed(AppError):
    """The move is for staff."""

    kind = ErrorKind.FORBIDDEN
    code = "claim_move_not_allowed"

    def __init__(self) -> None:
        super().__init__("This is for staff.")


class ClaimNotCovered(AppError):
    """No policy covered the loss when it happened."""

    kind = ErrorKind.CONFLICT
    code = "claim_not_covered"

    def __init__(self) -> None:
        super().__init__("No policy of the driver covered this loss at its time.")


class ClaimNotEditable(AppError):
    """Only a draft can be edited; afterwards the report stands."""

    kind = ErrorKind.CONFLICT
    code = "claim_not_editable"

    def __init__(self) -> None:
        super().__init__("Only a draft can be edited.")


class ClaimAmountRefused(AppError):
    """An amount that can't be booked; the detail says why."""

    kind = ErrorKind.CONFLICT
    code = "claim_amount_refused"


class EvidenceNotFound(AppError):
    """The claim has no such version of evidence."""

    kind = ErrorKind.NOT_FOUND
    code = "evidence_not_found"

    def __init__(self) -> None:
        super().__init__("The claim has no such version of evidence.")
