"""Parts of the Kafka engine that need no broker."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import KafkaError, KafkaException

from auto_insurance import bootstrap
from auto_insurance.infra.bus.errors import InvalidRecord, LogUnavailable, RecordTooLarge
from auto_insurance.infra.bus.kafka.appender import Appender
from auto_insurance.infra.bus.kafka.clients import LibraryLog, error_of, settings, translated
from auto_insurance.infra.bus.kafka.options import KafkaLogOptions
from auto_insurance.infra.bus.kafka.topics import TopicInfo, Topics
from auto_insurance.infra.bus.protocol import NewRecord
from auto_insurance.infra.config import Settings

OPTIONS = KafkaLogOptions("127.0.0.1:1", append_timeout_s=0.5)


class OneTopic(Topics):
    """Topics without a cluster."""

    def __init__(self) -> None:
        super().__init__(OPTIONS, None)
        self.forgotten: list[str] = []

    async def info(self, name: str, *, fresh: bool = False) -> TopicInfo:
        return TopicInfo(name, "id", 4)

    def forget(self, name: str) -> None:
        self.forgotten.append(name)


class FailingProducer:
    """Fails in the way that it is told to."""

    def __init__(self, error: KafkaError | None, refuse_after: int = 99) -> None:
        self.error = error
        self.left = refuse_after

    def produce(self, topic: str, value: bytes, key: str, partition: int, done: object, headers: object) -> None:
        if not self.left:
            raise BufferError("queue full")
        self.left -= 1
        assert callable(done)
        done(self.error or KafkaError(KafkaError._MSG_TIMED_OUT), None)


async def append_with(error: KafkaError | None, refuse_after: int = 99) -> tuple[Appender, OneTopic]:
    topics = OneTopic()
    appender = Appender(topics, OPTIONS)
    appender._loop = asyncio.get_running_loop()
    appender._producer = FailingProducer(error, refuse_after)  # type: ignore[assignment]
    with pytest.raises((LogUnavailable, RecordTooLarge)) as caught:
        await appender.append([NewRecord("t", f"k{i}", b"v") for i in range(3)])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (appender._queued_records, appender._queued_bytes) == (0, 0)
    assert isinstance(caught.value, RecordTooLarge) == (error is not None and error == KafkaError.MSG_SIZE_TOO_LARGE)
    return appender, topics


async def test_a_topic_that_went_away_is_looked_for_again() -> None:
    _, topics = await append_with(KafkaError(KafkaError._UNKNOWN_TOPIC))
    assert topics.forgotten == ["t"]


async def test_a_producer_that_failed_for_good_is_replaced() -> None:
    appender, _ = await append_with(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, fatal=True))
    assert appender._producer is None


async def test_a_call_taken_in_part_fails_and_frees_its_place() -> None:
    await append_with(None, refuse_after=1)


async def test_a_record_that_the_broker_finds_too_large_says_so() -> None:
    await append_with(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))


def test_what_the_engine_rests_on_wins_over_what_is_passed_through() -> None:
    options = KafkaLogOptions("b:1", properties={"security.protocol": "SSL", "acks": "0", "sasl.password": "secret"})
    found = settings(options, acks="all")
    assert (found["acks"], found["security.protocol"], found["bootstrap.servers"]) == ("all", "SSL", "b:1")
    assert "secret" not in repr(options)


def test_errors_of_kafka_become_ours() -> None:
    assert isinstance(translated(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), "x"), RecordTooLarge)
    assert isinstance(translated(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), "x"), InvalidRecord)
    assert isinstance(translated(KafkaException("odd"), "x"), LogUnavailable)
    assert error_of(KafkaException(KafkaError(KafkaError._TRANSPORT))) == KafkaError._TRANSPORT
    LibraryLog().log(3, "%s %s", "a", "b")


def test_the_settings_reach_the_clients() -> None:
    kafka = {
        "bootstrap_servers": "b:9092",
        "security_protocol": "SASL_SSL",
        "sasl_username": "us",
        "sasl_password": "secret",
        "ssl_ca_location": "/ca.pem",
        "replication_factor": 3,
    }
    options = bootstrap.kafka_options(Settings.model_validate({"event_log": "kafka", "kafka": kafka}))
    assert options.properties == {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "/ca.pem",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "us",
        "sasl.password": "secret",
    }
    assert options.replication_factor == 3
    with pytest.raises(bootstrap.NotConfigured, match="KAFKA_BOOTSTRAP_SERVERS"):
        bootstrap.kafka_options(Settings())
