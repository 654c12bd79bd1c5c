"""PostgreSQL goes away under load and comes back: what was accepted is handled once, by itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from auto_insurance.contracts import topics
from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from auto_insurance.infra.bus.errors import LogUnavailable
from auto_insurance.infra.bus.postgres import PostgresLog
from auto_insurance.infra.bus.protocol import NewRecord
from auto_insurance.infra.db import migrate
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
from auto_insurance.kernel.errors import Unavailable
from tests.conformance.conftest import eventually, running
from tests.conformance.effects import CREATE, Effects, effects
from tests.integration.bus.conftest import FAST


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, to stop and start; a durable one, as a killed one may lose nothing."""
    base = Path(tempfile.mkdtemp(prefix="auto-insurance-outage-"))
    base.chmod(0o755)
    own = EmbeddedPostgres(base / "pg")
    own.start()
    try:
        yield own
    finally:
        own.stop()
        shutil.rmtree(base, ignore_errors=True)


def postmaster(server: EmbeddedPostgres) -> int:
    return int((server.data_dir / "postmaster.pid").read_text().split()[0])


class Producer:
    """Sends without a pause and notes what was accepted, and the longest wait for an answer."""

    def __init__(self, log: PostgresLog) -> None:
        self.log = log
        self.accepted: set[str] = set()
        self.offered = 0
        self.refused = 0
        self.longest_s = 0.0
        self.stop = False

    async def run(self, lane: int) -> None:
        while not self.stop:
            self.offered += 1
            value = f"{lane}-{self.offered}"
            started = time.monotonic()
            try:
                await self.log.append([NewRecord(TELEMATICS_EVENTS, f"dev-{lane}", value.encode())])
                self.accepted.add(value)
            except Unavailable:
                self.refused += 1
                await asyncio.sleep(0.02)
            self.longest_s = max(self.longest_s, time.monotonic() - started)
            await asyncio.sleep(0.005)


async def _database(server: EmbeddedPostgres) -> Database:
    conn = await asyncpg.connect(server.url())
    await conn.execute("CREATE DATABASE outage")
    await conn.close()
    await asyncio.to_thread(migrate.upgrade, server.url("outage"))
    db = Database(create_engine(EngineOptions(url=server.url("outage"), pool_size=3, connect_timeout_s=2.0)))
    async with db.begin() as uow:
        await uow.conn.execute(text(CREATE))
    return db


async def outage(server: EmbeddedPostgres, how: str) -> None:
    pid = postmaster(server)
    if how == "stop":
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(2.0)
        await asyncio.to_thread(server.start)
    elif how == "kill":
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
    else:
        frozen = await asyncio.to_thread(_tree, pid)
        for one in frozen:
            os.kill(one, signal.SIGSTOP)
        await asyncio.sleep(5.0)
        for one in frozen:
            os.kill(one, signal.SIGCONT)


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


@pytest.mark.parametrize("how", ["stop", "kill", "freeze"])
async def test_everything_resumes_by_itself(server: EmbeddedPostgres, how: str) -> None:
    db = await _database(server)
    log = PostgresLog(server.url("outage"), FAST)
    await log.ensure_topics(topics.ALL)
    producer = Producer(log)
    lanes = [asyncio.create_task(producer.run(lane)) for lane in range(4)]
    handler = Effects([TELEMATICS_EVENTS])
    async with running(db, log, handler, backoff_most_s=1.0):
        await asyncio.sleep(1.0)
        before = len(producer.accepted)
        await outage(server, how)
        refused = producer.refused
        after = len(producer.accepted)
        await eventually(lambda: _more(producer, after + 20), 30)
        producer.stop = True
        await asyncio.gather(*lanes)
        await eventually(lambda: _all_stored(db, producer.accepted), 30)
    assert before > 0
    assert refused > 0
    assert producer.longest_s < 4.0, "an answer within seconds, also while the server stands still"
    seen = [value for _, value in await effects(db)]
    assert len(seen) == len(set(seen)), "nothing twice"
    assert producer.accepted <= set(seen), "nothing lost"
    async with db.read() as uow:
        dead = (await uow.conn.execute(text("SELECT count(*) FROM dead_letters"))).scalar_one()
    assert dead == 0, "a database that is away fills no dead letters"
    await log.close()
    await db.dispose()


async def test_the_log_says_that_it_is_away(server: EmbeddedPostgres) -> None:
    db = await _database(server)
    log = PostgresLog(server.url("outage"), FAST)
    await log.ensure_topics(topics.ALL)
    await log.check()
    server.stop()
    started = time.monotonic()
    with pytest.raises(LogUnavailable):
        await log.check()
    with pytest.raises(LogUnavailable):
        await log.append([NewRecord(TELEMATICS_EVENTS, "k", b"v")])
    with pytest.raises(LogUnavailable):
        await log.trim()
    assert time.monotonic() - started < 5.0
    await log.close()
    await db.dispose()


async def _more(producer: Producer, number: int) -> bool:
    return len(producer.accepted) >= number


async def _all_stored(db: Database, accepted: set[str]) -> bool:
    return accepted <= {value for _, value in await effects(db)}
