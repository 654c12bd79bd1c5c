"""librdkafka's consumer, with its callbacks turned into plain state. All calls come from one thread at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from auto_insurance.infra.bus.errors import OffsetOutOfRange
from auto_insurance.infra.bus.kafka.clients import UNKNOWN_TOPIC, error_of, milliseconds, settings, translated
from auto_insurance.infra.bus.kafka.messages import record_of
from auto_insurance.infra.bus.kafka.options import KafkaLogOptions
from auto_insurance.infra.bus.protocol import Record, TopicPartition

log = structlog.get_logger(__name__)
OnGone = Callable[[Sequence[TopicPartition]], None]
"""Told which partitions go, before the group is answered."""
_SLICE_S = 0.1
"""How soon a change of the assignment ends a wait for records."""


class Member:
    """One membership, from joining to leaving.

    A partition is *given* by the group first; it is read once its place is known (``place``). Nothing is read of it
    before, so a database that is away holds up reading and not the group.
    """

    def __init__(self, group: str, topics: Sequence[str], name: str, options: KafkaLogOptions, on_gone: OnGone) -> None:
        self._group = group
        self._consumer = Consumer(_settings(group, name, options))
        self._next: dict[TopicPartition, int] = {}
        self._given: set[TopicPartition] = set()
        self._on_gone = on_gone
        self._gone = False
        self._paused: set[TopicPartition] = set()
        self._held: list[Message] = []
        self._told: dict[TopicPartition, int] = {}
        self.stale = False
        """Whether it has to join anew: it failed, or missed a topic and would look again only minutes later."""
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def placed(self) -> frozenset[TopicPartition]:
        """Return the partitions that are read. May be called from any thread."""
        return frozenset(self._next.copy())

    def given(self) -> list[TopicPartition]:
        """Return partitions that are ours and have no place yet."""
        return sorted(self._given)

    def take(self, most: int, wait_s: float) -> list[Record]:
        """Return what is there, waiting for a first record. Raises ``OffsetOutOfRange`` and ``LogUnavailable``."""
        self._pass_on()
        self._go_on()
        if self._held:
            held, self._held = self._held[:most], self._held[most:]
            return self._records(held)
        self._gone = False
        deadline = time.monotonic() + wait_s
        while True:
            left = max(0.0, deadline - time.monotonic())
            message = self._consumer.poll(min(left, _SLICE_S))
            if message is not None:
                more = self._consumer.consume(most - 1, 0) if most > 1 else []
                return self._records([message, *more])
            if left == 0 or self._gone or self._given or self.stale:
                return []

    def keep(self) -> None:
        """Stay in the group while nobody can take records: what is fetched is thrown away and fetched again later."""
        pausing = self._next.keys() - self._paused
        try:
            self._consumer.pause(_kafka(pausing))
        except KafkaException as error:
            log.debug("partitions_not_paused", group=self._group, code=error_of(error).name())
        self._paused |= pausing
        if (message := self._consumer.poll(0)) is not None:
            self._held.append(message)  # of a partition that came a moment ago

    def serve(self) -> None:
        """Stay in the group without taking records, while no partition has its place yet."""
        if not self._next and (message := self._consumer.poll(0)) is not None:
            self._records([message])

    def _go_on(self) -> None:
        if self._paused:
            going, self._paused = self._paused & self._next.keys(), set()
            self._consumer.resume(_kafka(going))

    def place(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read partitions of ours from these offsets on; others are left out."""
        known = {tp: offset for tp, offset in positions.items() if tp in self._given or tp in self._next}
        moved = [tp for tp, offset in known.items() if self._next.get(tp, offset) != offset]
        places = [
            KafkaPartition(tp.topic, tp.partition, offset)
            for tp, offset in known.items()
            if self._next.get(tp) != offset
        ]
        if not places:
            return
        try:
            self._held = [m for m in self._held if (m.topic(), m.partition()) not in known]
            if moved:  # a seek fails on what is not fetched yet; this never does, and throws away what was fetched
                self._consumer.incremental_unassign(_kafka(moved))
                for tp in moved:
                    del self._next[tp]
                    self._given.add(tp)
            self._consumer.incremental_assign(places)
        except KafkaException as error:  # the assignment was lost meanwhile: ask the group again
            log.info("partitions_not_placed", group=self._group, code=error_of(error).name())
            self.stale = True
            return
        self._next |= known
        self._given -= known.keys()
        self.tell(known)

    def tell(self, positions: Mapping[TopicPartition, int]) -> None:
        """Let Kafka know how far we are, at its next look; PostgreSQL alone decides where we read on.

        From any thread: the library itself is told by the one that polls, for a call of it may wait for a rebalance.
        """
        self._told = {**self._told, **positions}

    def _pass_on(self) -> None:
        told, self._told = self._told, {}
        mine = [KafkaPartition(tp.topic, tp.partition, offset) for tp, offset in told.items() if tp in self._next]
        if not mine:
            return
        try:
            self._consumer.store_offsets(offsets=mine)
        except KafkaException as error:
            log.debug("offsets_not_told", group=self._group, code=error_of(error).name())

    def leave(self) -> None:
        """Leave the group. May take as long as the session time-out when no broker answers."""
        self._pass_on()
        try:
            self._consumer.close()
        except KafkaException as error:
            log.warning("consumer_left_without_notice", group=self._group, error=error_of(error).name())

    def abandon(self) -> list[TopicPartition]:
        """Count what was read as lost, and return it."""
        self._given.clear()
        return self._lose(list(self._next))

    def _records(self, messages: Iterable[Message]) -> list[Record]:
        """Return records of partitions that are read; of others they went to somebody else meanwhile."""
        records: list[Record] = []
        reading = self._next
        for message in messages:
            if (error := message.error()) is not None:
                self._heard(error, TopicPartition(message.topic() or "", _int(message.partition())))
                continue
            key = (message.topic(), message.partition())
            if key in reading:
                record = record_of(message)
                records.append(record)
                reading[key] = record.offset + 1
        return records

    def _heard(self, error: KafkaError, tp: TopicPartition) -> None:
        if error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}:
            raise OffsetOutOfRange(f"{tp.topic}/{tp.partition} has no record {self._next.get(tp)}")
        if error.fatal():
            self.stale = True
            raise translated(error, f"consumer of {self._group}")
        self.stale = self.stale or error.code() in UNKNOWN_TOPIC
        log.info("consumer_troubled", group=self._group, code=error.name())

    def _on_assign(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        self._given |= set(_ours(partitions))
        consumer.incremental_assign([])  # agreed; they are read from where they are placed

    def _on_revoke(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        gone = _ours(partitions)
        self._given.difference_update(gone)
        self._paused.difference_update(gone)
        read = [tp for tp in gone if tp in self._next]
        if read:
            self._on_gone(read)
            self._pass_on()
            self._lose(read)
        consumer.incremental_unassign(_kafka(read))

    def _lose(self, tps: Iterable[TopicPartition]) -> list[TopicPartition]:
        lost = [tp for tp in tps if self._next.pop(tp, None) is not None]
        self._gone = self._gone or bool(lost)
        return lost


def _settings(group: str, name: str, options: KafkaLogOptions) -> dict[str, Any]:
    own: dict[str, Any] = {
        "client.id": name,
        "group.id": group,
        "partition.assignment.strategy": "cooperative-sticky",
        "auto.offset.reset": "error",
        # Only what `tell` stored is committed to Kafka, from the background: nothing of ours reads it.
        "enable.auto.offset.store": False,
        "enable.auto.commit": True,
        "auto.commit.interval.ms": milliseconds(options.tell_interval_s),
        "session.timeout.ms": milliseconds(options.session_timeout_s),
        "heartbeat.interval.ms": milliseconds(options.heartbeat_s),
        "max.poll.interval.ms": milliseconds(max(options.max_poll_interval_s, options.session_timeout_s)),
        "fetch.wait.max.ms": milliseconds(options.fetch_wait_s),
        "queued.max.messages.kbytes": options.prefetch_bytes // 1024,
        "queued.min.messages": options.prefetch_records,
        "fetch.max.bytes": options.fetch_bytes,
        "fetch.message.max.bytes": options.fetch_partition_bytes,
        # How soon a queue that was full is looked at again; a whole second by default, in which we would stand idle.
        "fetch.queue.backoff.ms": 5,
        "allow.auto.create.topics": False,
        "enable.partition.eof": False,
    }
    if options.static_members:
        own["group.instance.id"] = name
    return settings(options, **own)


def _ours(partitions: Iterable[KafkaPartition]) -> list[TopicPartition]:
    return [TopicPartition(tp.topic, tp.partition) for tp in partitions]


def _kafka(tps: Iterable[TopicPartition]) -> list[KafkaPartition]:
    return [KafkaPartition(tp.topic, tp.partition) for tp in tps]


def _int(value: int | None) -> int:
    return -1 if value is None else value
