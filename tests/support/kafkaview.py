"""A Kafka log as an observer sees it: ends, contents, members."""

from __future__ import annotations

import json
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from auto_insurance.contracts import topics

_PARTITIONS = {spec.name: spec.partitions for spec in topics.ALL}
_WAIT_S = 10.0
UNKNOWN = 1_000_000
"""More than ever is there: what a broker that is away leaves us with."""


class KafkaView:
    """Looks at a cluster from outside."""

    def __init__(self, brokers: str) -> None:
        self._config: dict[str, str | int | float | bool] = {"bootstrap.servers": brokers, "log_level": 0}
        self._client = AdminClient(self._config)

    def ends(self, topic: str) -> int:
        """Return the number of records that a topic has ever held."""
        asked = {TopicPartition(topic, number): OffsetSpec.latest() for number in range(_PARTITIONS[topic])}  # type: ignore[no-untyped-call]
        try:
            return sum(
                done.result(_WAIT_S).offset
                for done in self._client.list_offsets(asked, request_timeout=_WAIT_S).values()
            )
        except KafkaException:
            self._client = AdminClient(self._config)  # after a restart it would go on asking by the leaders of before
            return UNKNOWN

    def ids(self, topic: str) -> set[str]:
        """Return the ids of a topic's events."""
        consumer = Consumer({**self._config, "group.id": "observer", "auto.offset.reset": "earliest"})
        try:
            consumer.assign([TopicPartition(topic, number, 0) for number in range(_PARTITIONS[topic])])
            left, found, deadline = self.ends(topic), set(), time.monotonic() + 60.0
            while left > 0:
                assert time.monotonic() < deadline, f"{left} records of {topic} do not come"
                for message in consumer.consume(1000, 1.0):
                    if message.error() is None:
                        found.add(str(json.loads(message.value() or b"")["id"]))
                        left -= 1
            return found
        finally:
            consumer.close()

    def holders(self, group: str, topic: str) -> dict[str, int]:
        """Return how many partitions of a topic each member of a group reads."""
        described = self._client.describe_consumer_groups([group], request_timeout=_WAIT_S)[group].result(_WAIT_S)
        counts = {
            str(member.client_id): sum(tp.topic == topic for tp in member.assignment.topic_partitions)
            for member in described.members
        }
        return {member: count for member, count in counts.items() if count}
