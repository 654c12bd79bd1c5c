"""Systems for tests of faults, on either engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from auto_insurance.infra.db import migrate
from auto_insurance.infra.embedded.postgres import PRODUCT, EmbeddedPostgres
from tests.support.installations import NewSystem, new_system
from tests.support.kafka import KafkaBroker
from tests.support.system import System, scratch_folder

__all__ = ["new_system"]


@dataclass
class Stage:
    """Makes the system that a fault is tried on."""

    request: pytest.FixtureRequest
    new_system: NewSystem
    stack: ExitStack
    server: EmbeddedPostgres
    broker: KafkaBroker | None = None

    def system(self, engine: str, *, own_server: bool = False, **settings: str) -> System:
        """Start a system; with ``own_server`` on a database server that may be killed."""
        if engine == "kafka":
            broker: KafkaBroker = self.request.getfixturevalue("kafka_broker")
            broker.clear()
            self.broker = broker
            settings |= {"EVENT_LOG": "kafka", "KAFKA_BOOTSTRAP_SERVERS": broker.address}
        if not own_server:
            return self.new_system(**settings).start_all()
        folder = self.stack.enter_context(scratch_folder("ai-faults-"))
        self.server = _server(self.stack, folder / "pg")
        url = asyncio.run(self.server.ensure_database(PRODUCT))
        migrate.upgrade(url)
        return self.stack.enter_context(System(url, None, folder, **settings)).start_all()


@pytest.fixture
def stage(request: pytest.FixtureRequest, new_system: NewSystem, postgres_server: EmbeddedPostgres) -> Iterator[Stage]:
    """A stage, cleared afterwards."""
    with ExitStack() as stack:
        yield Stage(request, new_system, stack, postgres_server)


def _server(stack: ExitStack, folder: Path) -> EmbeddedPostgres:
    server = EmbeddedPostgres(folder)  # with its usual durability: it is killed
    server.start()
    stack.callback(server.stop)
    return server
