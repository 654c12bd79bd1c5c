"""What Kafka hands over, as records of ours. Other producers may leave out what ours always give."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from confluent_kafka import Message

from auto_insurance.infra.bus.protocol import Record


def record_of(message: Message) -> Record:
    """Return the record: no key is an empty one, no value an empty one, what isn't text is replaced."""
    headers = message.headers()
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        _key(message.key()),
        message.value() or b"",
        _headers(headers) if headers else {},
        _instant(message.timestamp()[1]),
    )


@lru_cache(maxsize=65_536)
def _key(raw: bytes | None) -> str:
    return _text(raw)


@lru_cache(maxsize=64)
def _instant(ms: int) -> datetime:
    """Return the time of arrival: one for all records of a broker's batch."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def _text(raw: bytes | None) -> str:
    """Return text that PostgreSQL can store, which NUL is not."""
    return raw.decode(errors="replace").replace("\x00", "\ufffd") if raw else ""


def _headers(found: Any) -> Mapping[str, str]:
    pairs = found.items() if isinstance(found, dict) else found
    return {name: value if isinstance(value, str) else _text(value) for name, value in pairs}
