"""Logs on the test broker."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import asyncpg
import pytest

from auto_insurance.infra.bus.kafka import KafkaLog, KafkaLogOptions
from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
from tests.conformance.conftest import effects_db as effects_db  # noqa: PLC0414 (a fixture)
from tests.conformance.engines import floors_in
from tests.support.installations import new_system as new_system  # noqa: PLC0414 (a fixture)
from tests.support.kafka import KafkaBroker

OpenLog = Callable[..., KafkaLog]
"""Opens a log; keywords are options, ``held=False`` leaves retention to Kafka. It is closed with the fixture."""


@pytest.fixture
def broker(kafka_broker: KafkaBroker) -> KafkaBroker:
    """The broker without topics."""
    kafka_broker.clear()
    return kafka_broker


@pytest.fixture
async def open_log(broker: KafkaBroker, database_url: str) -> AsyncIterator[OpenLog]:
    """Open logs with small times."""
    async with AsyncExitStack() as stack:

        def opened(*, held: bool = True, **options: object) -> KafkaLog:
            fast: dict[str, object] = {"session_timeout_s": 3.0, "heartbeat_s": 0.3, "tell_interval_s": 0.2}
            log = KafkaLog(
                KafkaLogOptions(broker.address, **{**fast, **options}),  # type: ignore[arg-type]
                floors_in(database_url) if held else None,
            )
            stack.push_async_callback(log.close)
            return log

        yield opened


@pytest.fixture
async def second_database_url(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """Another fresh database, for tests that compare."""
    name = f"second_{os.getpid()}"
    conn = await asyncpg.connect(postgres_server.url())
    await conn.execute(f"CREATE DATABASE {name} TEMPLATE migrated STRATEGY file_copy")
    try:
        yield postgres_server.url(name)
    finally:
        await conn.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await conn.close()
