"""What can go wrong with drivers, vehicles and devices."""

from __future__ import annotations

from auto_insurance.identity.errors import DriverNotFound
from auto_insurance.kernel.errors import AppError, ErrorKind, FieldError, InvalidInput

__all__ = [
    "AssignmentConflict",
    "ConsentRefused",
    "DeviceNotFound",
    "DriverNotFound",
    "ErasureClosed",
    "ErasureNotFound",
    "ErasurePending",
    "InvalidConsentTexts",
    "VehicleNotOfDriver",
    "VinTaken",
]


class DeviceNotFound(AppError):
    """No such device, or not this driver's now."""

    kind = ErrorKind.NOT_FOUND
    code = "device_not_found"

    def __init__(self) -> None:
        super().__init__("This driver has no such device.")


class VehicleNotOfDriver(InvalidInput):
    """The vehicle that a device shall be in is not the driver's."""

    code = "vehicle_not_of_driver"

    def __init__(self) -> None:
        message = "This driver has no such vehicle."
        super().__init__(message, errors=[FieldError("vehicle_id", "vehicle_not_of_driver", message)])


class VinTaken(AppError):
    """Another vehicle has this identification number."""

    kind = ErrorKind.CONFLICT
    code = "vin_taken"

    def __init__(self) -> None:
        message = "A vehicle with this identification number is registered already."
        super().__init__(message, errors=[FieldError("vin", "taken", message)])


class AssignmentConflict(AppError):
    """A hand-over that would move events which are somebody's already."""

    kind = ErrorKind.CONFLICT
    code = "assignment_conflict"

    def __init__(self, message: str) -> None:
        super().__init__(message, errors=[FieldError("effective_from", "assignment_conflict", message)])


class ErasurePending(AppError):
    """The driver's data are to be erased: nothing new is linked to it."""

    kind = ErrorKind.CONFLICT
    code = "erasure_pending"

    def __init__(self) -> None:
        super().__init__("This driver's erasure has been requested.")


class ErasureClosed(AppError):
    """The erasure request is decided."""

    kind = ErrorKind.CONFLICT
    code = "erasure_closed"


class ErasureNotFound(AppError):
    """No such erasure request."""

    kind = ErrorKind.NOT_FOUND
    code = "erasure_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such erasure request.")


class ConsentRefused(InvalidInput):
    """A decision about a purpose that does not exist, or about a text that is not the one of now."""

    code = "consent_refused"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, errors=[FieldError(field, "consent_refused", message)])


class InvalidConsentTexts(AppError):
    """The shipped texts of the purposes are not usable."""

    kind = ErrorKind.INVALID
    code = "invalid_consent_texts"
