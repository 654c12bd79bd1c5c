"""One engine at a time; a database with a table for effects."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from auto_insurance.infra.bus.protocol import EventLog
from auto_insurance.infra.bus.runner import Runner, RunnerOptions
from auto_insurance.infra.db.uow import Database
from tests.conformance.effects import CREATE, Effects
from tests.conformance.engines import NAMES, SPECS, Engine, engine_at
from tests.support.kafka import KafkaBroker

ROOT = Path(__file__).parents[2]
Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(params=NAMES)
def engine(request: pytest.FixtureRequest, database_url: str) -> Engine:
    """The engine under test; a broker that tests share is cleared first."""
    address = database_url
    if request.param == "kafka":
        broker: KafkaBroker = request.getfixturevalue("kafka_broker")
        broker.clear()
        address = f"{broker.address} {database_url}"
    return engine_at(request.param, address)


@pytest.fixture
async def log(engine: Engine) -> AsyncIterator[EventLog]:
    """An open log with the suite's topics."""
    opened = engine.open()
    await opened.ensure_topics(SPECS)
    yield opened
    await opened.close()


@pytest.fixture
async def effects_db(db: Database) -> Database:
    """A database with the table of effects."""
    async with db.begin() as uow:
        await uow.conn.execute(text(CREATE))
    return db


@pytest.fixture
def spawn(engine: Engine, database_url: str) -> Iterator[Spawn]:
    """Start consumers as processes; those left over are killed."""
    children: list[subprocess.Popen[bytes]] = []

    def start(sleep_s: float = 0.0, flag: Path | str = "") -> subprocess.Popen[bytes]:
        arguments = [engine.name, engine.address(), database_url, str(sleep_s), str(flag)]
        child = subprocess.Popen([sys.executable, "-m", "tests.conformance.child", *arguments], cwd=ROOT)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait(10)


@asynccontextmanager
async def running(db: Database, log: EventLog, handler: Effects, **options: object) -> AsyncIterator[Runner]:
    """Run a handler inside a block; on leaving it the runner drains."""
    defaults: dict[str, object] = {"poll_timeout_s": 0.1, "attempt_pause_s": 0.01, "tick_interval_s": 0.2}
    runner = Runner(db, log, handler, RunnerOptions(**{**defaults, **options}))  # type: ignore[arg-type]
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    try:
        yield runner
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def eventually(probe: Callable[[], Awaitable[bool]], timeout_s: float = 60.0) -> None:
    """Wait until the probe says yes. Raises ``AssertionError`` after the time."""
    deadline = time.monotonic() + timeout_s
    while not await probe():
        assert time.monotonic() < deadline, "it did not come to that in time"
        await asyncio.sleep(0.05)
