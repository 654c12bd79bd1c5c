"""What can go wrong with an upload as a whole; single events have reasons (``limits.ReasonCode``)."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind, InvalidInput


class MalformedJson(InvalidInput):
    """The body is no JSON at all; the route answers 400."""

    code = "malformed_json"


class WrongShape(InvalidInput):
    """The body is JSON, but not an object with a list of events."""

    code = "invalid_upload"


class EventRejected(InvalidInput):
    """The one event that was sent is refused; ``errors`` hold its reasons."""

    code = "event_rejected"


class TooManyEvents(AppError):
    """More events in one upload than allowed."""

    kind = ErrorKind.TOO_LARGE
    code = "too_many_events"


class ScopeMissing(AppError):
    """The key is not good for this way in."""

    kind = ErrorKind.FORBIDDEN
    code = "scope_missing"


class UnknownDevice(AppError):
    """No such device, or none that the caller may see."""

    kind = ErrorKind.NOT_FOUND
    code = "device_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such device.")


class ImportNotFound(AppError):
    """No such import, or none that the caller may see."""

    kind = ErrorKind.NOT_FOUND
    code = "import_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such import.")


class UnreadableFile(InvalidInput):
    """The file is neither GPX nor CSV."""

    code = "unreadable_file"


class TooManyImports(AppError):
    """The driver has as many open imports as allowed."""

    kind = ErrorKind.RATE_LIMITED
    code = "too_many_imports"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} imports are still open; wait until one is done.", retry_after_s=30)


class WrongRange(InvalidInput):
    """A range of time that ends before it starts, or is too long."""

    code = "wrong_range"

    def __init__(self, days: int) -> None:
        super().__init__(f"The range must not end before it starts and must span at most {days} days.")


class ArchiveDamaged(AppError):
    """A month's files are not as they were written. Nothing is dropped or loaded on their word."""

    kind = ErrorKind.UNAVAILABLE
    code = "archive_damaged"


class ArchiveFailed(AppError):
    """A month could not be written to the archive, for want of room or rights; its events stay where they are."""

    kind = ErrorKind.UNAVAILABLE
    code = "archive_failed"


class MonthRefused(AppError):
    """What was asked for can't be done with this month."""

    kind = ErrorKind.CONFLICT
    code = "month_refused"


class MonthJobNotFound(AppError):
    """No such job on a month."""

    kind = ErrorKind.NOT_FOUND
    code = "month_job_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such job.")


class MonthJobOpen(AppError):
    """Something is to be done with the month already."""

    kind = ErrorKind.CONFLICT
    code = "month_job_open"

    def __init__(self, month: str) -> None:
        super().__init__(f"A job for {month} is queued or running; wait until it is done.")
