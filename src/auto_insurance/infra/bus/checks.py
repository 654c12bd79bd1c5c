"""What every engine demands of records before it takes any of them."""

from __future__ import annotations

from collections.abc import Sequence

from auto_insurance.contracts.topics import MAX_RECORD_BYTES
from auto_insurance.infra.bus.errors import InvalidRecord, RecordTooLarge
from auto_insurance.infra.bus.protocol import NewRecord

OVERHEAD_BYTES = 100
"""What a record costs beside its value, roughly."""


def check_records(records: Sequence[NewRecord], *, max_bytes: int = MAX_RECORD_BYTES) -> int:
    """Return the size of the records in bytes. Raises ``InvalidRecord`` or ``RecordTooLarge``."""
    total = 0
    for record in records:
        if len(record.value) > max_bytes:
            raise RecordTooLarge(f"a record holds at most {max_bytes} bytes")
        if "\x00" in record.key or not _encodes(record.key):
            raise InvalidRecord("a record's key must be valid text without NUL")
        total += len(record.value) + OVERHEAD_BYTES
    return total


def _encodes(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
