"""The engines under test, by name: what the suite needs beyond the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from auto_insurance.contracts.topics import TopicSpec
from auto_insurance.infra.bus.postgres import PostgresLog, PostgresLogOptions
from auto_insurance.infra.bus.protocol import EventLog

TOPIC = "conformance"
SPECS: tuple[TopicSpec, ...] = (TopicSpec(TOPIC, 4, 0, "key"), TopicSpec("other", 2, 0, "key"))
TAKE_OVER_S = 3.0
"""How long after its last sign of life a member loses its partitions in these tests."""


class Engine(Protocol):
    """How to open an engine, here and in a child process, and how to let time pass over it."""

    name: str

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
            session_timeout_s=TAKE_OVER_S, heartbeat_s=0.5, rebalance_s=0.3, poll_interval_s=0.2, append_timeout_s=2.0
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


def engine_at(name: str, address: str) -> Engine:
    """Return the engine of that name. Raises ``KeyError``."""
    return {"postgres": PostgresEngine}[name](address)


NAMES: Sequence[str] = ("postgres",)
