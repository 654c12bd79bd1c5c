"""Events on the topic ``telematics-events.dlq``, keyed like the record that died."""

from __future__ import annotations

import msgspec

RECORD_DEAD_LETTERED = "record.dead_lettered"


class RecordDeadLettered(msgspec.Struct, frozen=True, kw_only=True):
    """A record, or one event of it, that can never be processed.

    ``value`` holds the original bytes (base64 in JSON); ``index_in_record`` counts from 0 within an upload, and is
    null for a whole record.
    """

    group: str
    topic: str
    partition: int
    offset: int
    index_in_record: int | None
    reason: str
    detail: str
    value: bytes
