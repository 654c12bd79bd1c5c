"""What can go wrong with a log."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind, Unavailable


class LogFull(Unavailable):
    """The log takes no more for now; nothing of the call was stored."""

    code = "event_log_full"


class LogUnavailable(Unavailable):
    """The log can't be reached, or whether it stored the records is unknown: send them again."""

    code = "event_log_unavailable"


class InvalidRecord(AppError):
    """A record that no engine can store: an unknown topic or a key that isn't valid text."""

    kind = ErrorKind.INVALID
    code = "invalid_record"


class RecordTooLarge(AppError):
    """A record above ``contracts.topics.MAX_RECORD_BYTES``."""

    kind = ErrorKind.TOO_LARGE
    code = "record_too_large"


class TopicMismatch(AppError):
    """A topic exists with another number of partitions; changing it would move keys."""

    kind = ErrorKind.CONFLICT
    code = "topic_mismatch"


class TopicRemade(AppError):
    """The topic was made anew: the group's offsets belong to records that no longer exist. A person has to decide."""

    kind = ErrorKind.CONFLICT
    code = "topic_remade"


class OffsetOutOfRange(AppError):
    """The log no longer has (or does not yet have) the record that a group wants to read next."""

    kind = ErrorKind.CONFLICT
    code = "offset_out_of_range"


class Fenced(AppError):
    """Somebody else owns the partition or has moved its offset: roll back and read again."""

    kind = ErrorKind.CONFLICT
    code = "fenced"
