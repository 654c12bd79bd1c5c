"""Settings that all clients share, and what their errors mean."""

from __future__ import annotations

from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException

from auto_insurance.infra.bus.errors import InvalidRecord, LogUnavailable, RecordTooLarge
from auto_insurance.infra.bus.kafka.options import KafkaLogOptions
from auto_insurance.kernel.errors import AppError

log = structlog.get_logger(__name__)
UNKNOWN_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError.TOPIC_EXCEPTION,  # not even a valid name
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
_WARNING = 4


class LibraryLog:
    """Takes librdkafka's own lines, which would go to standard error as they are."""

    def log(self, level: int, text: str, *values: object) -> None:
        """Write one line: what a broker's absence makes it say is no more than a warning of ours."""
        log.debug("kafka_client", severity=level, said=text % values if values else text)


def settings(options: KafkaLogOptions, **own: Any) -> dict[str, Any]:
    """Return a client's configuration: what the engine rests on (``own``) wins over what the operator passes."""
    shared: dict[str, Any] = {
        "bootstrap.servers": options.bootstrap_servers,
        "client.id": options.client_id,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2_000,
        "socket.connection.setup.timeout.ms": 5_000,
        "socket.keepalive.enable": True,
    }
    return {
        **shared,
        **options.properties,
        **own,
        "error_cb": _heard,
        "logger": LibraryLog(),
    }


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds, one at least."""
    return max(1, round(seconds * 1000))


def error_of(error: KafkaException | KafkaError) -> KafkaError:
    """Return what an exception holds."""
    if isinstance(error, KafkaError):
        return error
    held = error.args[0] if error.args else None
    return held if isinstance(held, KafkaError) else KafkaError(KafkaError._FAIL, str(held))


def translated(error: KafkaException | KafkaError, what: str) -> AppError:
    """Return our word for an error of Kafka's. Its own text may name hosts, so only its code's name is kept."""
    held = error_of(error)
    if held.code() in UNKNOWN_TOPIC:
        return InvalidRecord(f"{what}: there is no such topic")
    if held.code() in {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}:
        return RecordTooLarge(f"{what}: larger than the topic takes")
    return LogUnavailable(f"{what}: {held.name()}", retry_after_s=2)


def _heard(error: KafkaError) -> None:
    log.debug("kafka_client_error", code=error.name(), fatal=error.fatal())
