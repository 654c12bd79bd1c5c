"""The engines under test, by name: what the suite needs beyond the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka.admin import AdminClient

from auto_insurance.contracts.topics import TopicSpec
from auto_insurance.infra.bus import offsets
from auto_insurance.infra.bus.kafka import KafkaLog, KafkaLogOptions
from auto_insurance.infra.bus.kafka.topics import Floors
from auto_insurance.infra.bus.postgres import PostgresLog, PostgresLogOptions
from auto_insurance.infra.bus.protocol import EventLog
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import Database

TOPIC = "conformance"
SPECS: tuple[TopicSpec, ...] = (TopicSpec(TOPIC, 4, 0, "key"), TopicSpec("other", 2, 0, "key"))
TAKE_OVER_S = 3.0
"""How long after its last sign of life a member loses its partitions in these tests."""


class Engine(Protocol):
    """How to open an engine, here and in a child process, and how to let time pass over it."""

    @property
    def name(self) -> str: ...

    def open(self) -> EventLog:
        """Return a new client of the same log, as another process would have it."""
        ...

    def address(self) -> str:
        """Return what :func:`engine_at` needs in a child process."""
        ...

    async def remake(self, topic: str) -> None:
        """Delete the topic and make it anew."""
        ...

    async def age(self, log: EventLog) -> None:
        """Bring the records so far past their retention."""
        ...


@dataclass(frozen=True)
class PostgresEngine:
    """The log in PostgreSQL."""

    url: str
    name: str = "postgres"

    def open(self) -> PostgresLog:
        options = PostgresLogOptions(
            session_timeout_s=TAKE_OVER_S, heartbeat_s=0.5, rebalance_s=0.3, poll_interval_s=0.2, append_timeout_s=6.0
        )
        return PostgresLog(self.url, options)

    def address(self) -> str:
        return self.url

    async def remake(self, topic: str) -> None:
        log = self.open()
        await log.delete_topic(topic)
        await log.ensure_topics(SPECS)
        await log.close()

    async def age(self, log: EventLog) -> None:
        assert isinstance(log, PostgresLog)
        await log.roll(force=True)


@dataclass(frozen=True)
class KafkaEngine:
    """The log on a Kafka broker. ``place``: its address, a blank, and the address of the database with the offsets."""

    place: str
    name: str = "kafka"

    def open(self) -> KafkaLog:
        servers, database_url = self.place.split(" ", 1)
        options = KafkaLogOptions(servers, session_timeout_s=TAKE_OVER_S, heartbeat_s=0.3, append_timeout_s=4.0)
        return KafkaLog(options, floors_in(database_url))

    def address(self) -> str:
        return self.place

    async def remake(self, topic: str) -> None:
        servers, _ = self.place.split(" ", 1)
        client = AdminClient({"bootstrap.servers": servers})
        await asyncio.wrap_future(client.delete_topics([topic])[topic])
        log = self.open()
        await log.ensure_topics(SPECS)
        await log.close()

    async def age(self, log: EventLog) -> None:
        await asyncio.sleep(0.01)  # the suite's topics keep nothing beyond its time of arrival


def floors_in(database_url: str) -> Floors:
    """Return what groups still need, by the offsets in a database."""

    async def floors(topic: str, topic_id: str) -> Mapping[int, int]:
        db = Database(create_engine(EngineOptions(url=database_url, pool_size=1)))
        try:
            async with db.read() as uow:
                return await offsets.floors(uow, topic, topic_id)
        finally:
            await db.dispose()

    return floors


def engine_at(name: str, address: str) -> Engine:
    """Return the engine of that name. Raises ``KeyError``."""
    engines: dict[str, Callable[[str], Engine]] = {"postgres": PostgresEngine, "kafka": KafkaEngine}
    return engines[name](address)


NAMES: Sequence[str] = ("postgres", "kafka")
