"""Fixtures that all tests share: one PostgreSQL per test session, one fresh database per test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import hypothesis
import pytest
import structlog

from auto_insurance.infra.db import migrate
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
from tests.support.kafka import KafkaBroker, running_broker

SHARED_DATA = Path(os.environ.get("AUTO_INSURANCE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
# The default renders every local variable of every frame of a traceback, which takes seconds.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ]
)
# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
MEMORY_NEEDED = 2 * 1024**3
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded drives and portfolios; its tests skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no recorded data at {SHARED_DATA}; set AUTO_INSURANCE_TEST_DATA")
    return SHARED_DATA


def _quick_folder() -> str | None:
    """Return a folder in memory where there is one with room: a database is copied there in 20 ms, not in 500."""
    memory = Path("/dev/shm")
    room = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > MEMORY_NEEDED
    return str(memory) if room else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """An embedded server without durability, with a migrated template database; one per test process."""
    base = Path(tempfile.mkdtemp(prefix="auto-insurance-test-", dir=_quick_folder()))
    base.chmod(0o755)
    server = EmbeddedPostgres(base / "pg", fast=True)
    server.start()
    try:
        _make_template(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A real Kafka broker; one per test process that needs it."""
    yield from running_broker(tmp_path_factory.mktemp("kafka"))


def _make_template(server: EmbeddedPostgres) -> None:
    import asyncio

    async def create() -> None:
        conn = await asyncpg.connect(server.url())
        await conn.execute("CREATE DATABASE migrated")
        await conn.close()

    asyncio.run(create())
    migrate.upgrade(server.url("migrated"))


@pytest.fixture
async def database_url(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """A fresh, migrated database of its own for one test."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    conn = await asyncpg.connect(postgres_server.url())
    await conn.execute(f"CREATE DATABASE {name} TEMPLATE migrated STRATEGY file_copy")
    try:
        yield postgres_server.url(name)
    finally:
        await conn.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await conn.close()


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """Units of work on a fresh database."""
    database = Database(create_engine(EngineOptions(url=database_url, pool_size=5)))
    yield database
    await database.dispose()
