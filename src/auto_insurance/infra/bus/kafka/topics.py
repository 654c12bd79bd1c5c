"""Topics: made on demand, their ids, their ends, and what of them may go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it does re-export them
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)

from auto_insurance.contracts.topics import TELEMATICS_DLQ, TopicSpec
from auto_insurance.infra.bus.errors import InvalidRecord, LogUnavailable, TopicMismatch
from auto_insurance.infra.bus.kafka.clients import UNKNOWN_TOPIC, error_of, settings, translated
from auto_insurance.infra.bus.kafka.options import KafkaLogOptions
from auto_insurance.infra.bus.protocol import TopicPartition
from auto_insurance.kernel import clock

log = structlog.get_logger(__name__)
Floors = Callable[[str, str], Awaitable[Mapping[int, int]]]
"""(topic, topic id) -> per partition number the offset that some group still needs."""
K = TypeVar("K")
_NEW_TOPIC_S = 10.0
_EARLIEST, _LATEST = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as the engine knows it."""

    name: str
    id: str
    partitions: int

    def all(self) -> list[TopicPartition]:
        """Return its partitions."""
        return [TopicPartition(self.name, number) for number in range(self.partitions)]


class Topics:
    """Asks and tells the cluster about topics. Connects at the first question."""

    def __init__(self, options: KafkaLogOptions, floors: Floors | None) -> None:
        self._options = options
        self._floors = floors
        self._client: AdminClient | None = None
        self._known: dict[str, TopicInfo] = {}
        self._specs: dict[str, TopicSpec] = {}

    @property
    def admin(self) -> AdminClient:
        """The client; only its calls that return futures are to be used."""
        if self._client is None:
            self._client = AdminClient(settings(self._options))
        return self._client

    async def info(self, name: str, *, fresh: bool = False) -> TopicInfo:
        """Return a topic. Raises ``InvalidRecord`` if there is none of that name."""
        if not fresh and (known := self._known.get(name)) is not None:
            return known
        return (await self.look([name]))[name]

    async def look(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        """Return topics as they are now. Raises ``InvalidRecord`` if one of them does not exist."""
        if not all(names):
            raise InvalidRecord("a topic has a name")
        found = await self._answers(self.admin.describe_topics(TopicCollection(list(names)), **self._limit()))
        for name, description in found.items():
            self._known.pop(name, None)
            if isinstance(description, KafkaException):
                raise translated(description, f"topic {name}")
            self._known[name] = _info(description)
        return {name: self._known[name] for name in names}

    def forget(self, name: str) -> None:
        """Ask anew when the topic is wanted next."""
        self._known.pop(name, None)

    async def exists(self, name: str) -> bool:
        """Return whether there is a topic of this name."""
        try:
            await self.info(name, fresh=True)
        except InvalidRecord:
            return False
        return True

    async def ensure(self, specs: Sequence[TopicSpec]) -> None:
        """Create the topics that are missing; give those that exist the settings that we rest on.

        Raises ``TopicMismatch`` on another number of partitions.
        """
        wanted = {spec.name: spec for spec in specs}
        if not wanted:
            return
        self._specs |= wanted
        missing = await self._check(wanted)
        if missing:
            made = self.admin.create_topics([self._new(spec) for spec in missing], **self._limit())
            for name, answer in (await self._answers(made)).items():
                if isinstance(answer, KafkaException):
                    if error_of(answer).code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another process was faster
                        raise translated(answer, f"topic {name}")
                else:
                    log.info("topic_created", topic=name, partitions=wanted[name].partitions)
            await self._until_ready(wanted)
        await self._configure([spec for spec in specs if spec not in missing])

    async def ends(self, name: str) -> dict[TopicPartition, int]:
        """Return the offset of the next record to come, per partition."""
        return await self.ends_of((await self.info(name)).all())

    async def starts(self, name: str) -> dict[TopicPartition, int]:
        """Return the first offset that there still is, per partition."""
        return await self._offsets((await self.info(name)).all(), _EARLIEST)

    async def ends_of(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset of the next record to come of these partitions."""
        return await self._offsets(tps, _LATEST)

    async def _offsets(self, tps: Sequence[TopicPartition], spec: OffsetSpec) -> dict[TopicPartition, int]:
        """Return an offset per partition. Raises ``LogUnavailable`` and ``InvalidRecord``."""
        asked = {KafkaPartition(tp.topic, tp.partition): spec for tp in tps}
        found: dict[TopicPartition, int] = {}
        for tp, answer in (await self._answers(self.admin.list_offsets(asked, **self._limit()))).items():
            if isinstance(answer, KafkaException):
                self.forget(tp.topic)
                raise translated(answer, f"offsets of {tp.topic}")
            found[TopicPartition(tp.topic, tp.partition)] = answer.offset
        return found

    async def trim(self) -> int:
        """Delete records past their topic's retention and past every group; returns how many went.

        Without somebody who knows what groups need, retention is Kafka's own affair.
        """
        if self._floors is None:
            return 0
        return sum([await self._trim(spec, self._floors) for spec in self._specs.values()])

    async def check(self) -> None:
        """Raise ``LogUnavailable`` if a topic is missing or a partition of one has no leader."""
        names = list(self._specs)
        if not names:
            await self._one(self.admin.describe_cluster(**self._limit()))
            return
        found = await self._answers(self.admin.describe_topics(TopicCollection(names), **self._limit()))
        for name, answer in found.items():
            if isinstance(answer, KafkaException):
                raise LogUnavailable(f"topic {name}: {error_of(answer).name()}")
            if any(partition.leader is None for partition in answer.partitions):
                raise LogUnavailable(f"a partition of {name} has no leader")

    async def _check(self, wanted: Mapping[str, TopicSpec]) -> list[TopicSpec]:
        """Return what is missing. Raises ``TopicMismatch``."""
        found = await self._answers(self.admin.describe_topics(TopicCollection(list(wanted)), **self._limit()))
        missing: list[TopicSpec] = []
        for name, answer in found.items():
            if not isinstance(answer, KafkaException):
                have = len(answer.partitions)
                if have != wanted[name].partitions:
                    raise TopicMismatch(f"topic {name} has {have} partitions, not {wanted[name].partitions}")
            elif error_of(answer).code() in UNKNOWN_TOPIC:
                missing.append(wanted[name])
            else:
                raise translated(answer, f"topic {name}")
        return missing

    async def _until_ready(self, wanted: Mapping[str, TopicSpec]) -> None:
        """Wait until every partition has a leader that answers; the brokers learn of new topics one by one."""
        deadline = time.monotonic() + _NEW_TOPIC_S
        while True:
            try:
                if await self._check(wanted):
                    raise LogUnavailable("the new topics are not known to the cluster yet")
                for name in wanted:
                    self.forget(name)
                    await self.ends(name)
            except (LogUnavailable, InvalidRecord):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)
            else:
                return

    def _new(self, spec: TopicSpec) -> NewTopic:
        copies = self._options.replication_factor
        return NewTopic(spec.name, spec.partitions, copies, config=self._config(spec))

    def _config(self, spec: TopicSpec) -> dict[str, str]:
        config = {
            "cleanup.policy": "delete",
            # The arrival time is the log's own, whatever a producer's clock says.
            "message.timestamp.type": "LogAppendTime",
            # What some group has not read yet must not go by age: `trim` removes it when all have.
            "retention.ms": "-1" if self._floors else str(spec.retention_days * 86_400_000),
            "retention.bytes": "-1",
            "min.insync.replicas": str(max(1, self._options.replication_factor - 1)),
        }
        if spec.name == TELEMATICS_DLQ:
            config["max.message.bytes"] = str(self._options.max_published_bytes + 4096)
        return config

    async def _configure(self, specs: Sequence[TopicSpec]) -> None:
        """Set what differs on topics that somebody else made or an earlier version did."""
        if not specs:
            return
        resources = {ConfigResource(ResourceType.TOPIC, spec.name): spec for spec in specs}
        changes: list[ConfigResource] = []
        described = await self._answers(self.admin.describe_configs(list(resources), **self._limit()))
        for resource, found in described.items():
            if isinstance(found, KafkaException):
                raise translated(found, f"settings of topic {resource.name}")
            config = self._config(resources[resource])
            config.pop("min.insync.replicas")  # theirs to choose, with the number of copies
            differing = [
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in config.items()
                if found[name].value != value
            ]
            if differing:
                changes.append(ConfigResource(ResourceType.TOPIC, resource.name, incremental_configs=differing))
        if not changes:
            return
        altered = await self._answers(self.admin.incremental_alter_configs(changes, **self._limit()))
        for resource, answer in altered.items():
            if isinstance(answer, KafkaException):
                raise translated(answer, f"settings of topic {resource.name}")

    async def _trim(self, spec: TopicSpec, floors: Floors) -> int:
        info = await self.info(spec.name, fresh=True)
        past = clock.now() - timedelta(days=spec.retention_days)
        at = int(past.timestamp() * 1000)
        young = await self._offsets(info.all(), OffsetSpec.for_timestamp(at))
        ends, starts = await self.ends(spec.name), await self.starts(spec.name)
        needed = await floors(info.name, info.id)
        cuts: dict[TopicPartition, int] = {}
        for tp, start in starts.items():
            old = young[tp] if young[tp] >= 0 else ends[tp]  # no record that young
            # Where some group reads the topic, a partition without an offset has never been read.
            cut = min(old, needed.get(tp.partition, 0)) if needed else old
            if cut > start:
                cuts[tp] = cut
        if not cuts:
            return 0
        asked = [KafkaPartition(tp.topic, tp.partition, cut) for tp, cut in cuts.items()]
        for answer in (await self._answers(self.admin.delete_records(asked, **self._limit()))).values():
            if isinstance(answer, KafkaException):
                raise translated(answer, f"retention of {spec.name}")
        gone = sum(cut - starts[tp] for tp, cut in cuts.items())
        log.info("log_trimmed", topic=spec.name, records=gone)
        return gone

    def _limit(self) -> dict[str, float]:
        return {"request_timeout": self._options.request_timeout_s}

    async def _answers(self, futures: Mapping[K, Future[Any]]) -> dict[K, Any]:
        """Wait for all; a failed one's answer is its exception. Raises ``LogUnavailable`` when time is up."""
        waits = [asyncio.wrap_future(future) for future in futures.values()]
        try:
            async with asyncio.timeout(self._options.request_timeout_s + 1.0):
                answers = await asyncio.gather(*waits, return_exceptions=True)
        except TimeoutError:
            raise LogUnavailable("Kafka did not answer in time", retry_after_s=2) from None
        for answer in answers:
            if isinstance(answer, KafkaException):
                continue
            if isinstance(answer, BaseException):
                raise answer
        return dict(zip(futures, answers, strict=True))

    async def _one(self, future: Future[Any]) -> Any:
        answer = (await self._answers({"": future}))[""]
        if isinstance(answer, KafkaException):
            raise translated(answer, "the cluster")
        return answer


def _info(description: TopicDescription) -> TopicInfo:
    return TopicInfo(description.name, str(description.topic_id), len(description.partitions))
