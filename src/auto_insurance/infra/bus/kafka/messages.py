"""What Kafka hands over, as records of ours. Other producers may leave out what ours always give."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from confluent_kafka import Message

from auto_insurance.infra.bus.protocol import Record, TopicPartition


def record_of(message: Message, tp: TopicPartition, offset: int) -> Record:
    """Return the record: no key is an empty one, no value an empty one, what isn't text is replaced."""
    return Record(
        tp.topic,
        tp.partition,
        offset,
        _text(message.key()),
        message.value() or b"",
        _headers(message),
        datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC),
    )


def _text(raw: bytes | None) -> str:
    """Return text that PostgreSQL can store, which NUL is not."""
    return raw.decode(errors="replace").replace("\x00", "\ufffd") if raw else ""


def _headers(message: Message) -> Mapping[str, str]:
    found = message.headers()
    if not found:
        return {}
    pairs = found.items() if isinstance(found, dict) else found
    return {name: value if isinstance(value, str) else _text(value) for name, value in pairs}
