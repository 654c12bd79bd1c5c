"""What can go wrong with export and erasure."""

from __future__ import annotations

from auto_insurance.drivers.errors import ErasureClosed, ErasureNotFound
from auto_insurance.kernel.errors import AppError, ErrorKind

__all__ = [
    "ErasureBlocked",
    "ErasureBusy",
    "ErasureClosed",
    "ErasureIncomplete",
    "ErasureNotFound",
    "ProofNotFound",
    "TooManyExports",
]


class ErasureBlocked(AppError):
    """Something must end before a driver can be erased; the detail says what."""

    kind = ErrorKind.CONFLICT
    code = "erasure_blocked"


class ErasureBusy(AppError):
    """Another process carries this erasure out."""

    kind = ErrorKind.CONFLICT
    code = "erasure_busy"

    def __init__(self) -> None:
        super().__init__("Another process is carrying this erasure out; wait until it is done.")


class ErasureIncomplete(AppError):
    """Data of the driver come back as fast as they are erased, or Redis does not answer. Trying again helps."""

    kind = ErrorKind.UNAVAILABLE
    code = "erasure_incomplete"


class ProofNotFound(AppError):
    """No such proof of an erasure."""

    kind = ErrorKind.NOT_FOUND
    code = "proof_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such proof.")


class TooManyExports(AppError):
    """Somebody asks for the export more often than it can have changed."""

    kind = ErrorKind.RATE_LIMITED
    code = "too_many_exports"
