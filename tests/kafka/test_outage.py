"""The broker dies under load: what was accepted is there, once per record, and a caller never waits long."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import text

from auto_insurance.contracts.topics import TopicSpec
from auto_insurance.infra.bus.errors import LogUnavailable
from auto_insurance.infra.bus.protocol import EventLog, NewRecord
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.errors import Unavailable
from tests.conformance.conftest import eventually, running
from tests.conformance.effects import Effects, effects
from tests.conformance.test_log import Positions, joined
from tests.kafka.conftest import OpenLog
from tests.support.kafka import KafkaBroker

SPEC = TopicSpec("outage", 4, 0, "key")


async def accept(log: EventLog, value: str, waits: list[float]) -> None:
    """Send until it is taken, as a device does after a 503."""
    while True:
        began = time.monotonic()
        try:
            await log.append([NewRecord(SPEC.name, f"key-{int(value) % 5}", value.encode())])
        except Unavailable:
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.1)
        else:
            return


@pytest.mark.timeout(120)
async def test_a_broker_killed_under_load_loses_nothing(
    broker: KafkaBroker, open_log: OpenLog, effects_db: Database
) -> None:
    log = open_log(append_timeout_s=1.5, leave_timeout_s=1.0)
    await log.ensure_topics([SPEC])
    waits: list[float] = []
    accepted: list[str] = []

    async def load() -> None:
        for number in range(0, 4000, 20):
            values = [str(number + i) for i in range(20)]
            await asyncio.gather(*(accept(log, value, waits) for value in values))
            accepted.extend(values)
            await asyncio.sleep(0.01)

    async with running(effects_db, log, Effects([SPEC.name])):
        sending = asyncio.create_task(load())
        await eventually(lambda: _true(len(accepted) > 400))
        leaving = await joined(log, "leaves", Positions(log), (SPEC.name,))
        await leaving.poll(1, 0.1)
        await asyncio.to_thread(broker.kill)
        began = time.monotonic()
        await leaving.close()
        assert time.monotonic() - began < 3.0, "a broker that is away holds nobody up"
        with pytest.raises(LogUnavailable):
            await log.append([NewRecord(SPEC.name, "key", b"9999")])
        await asyncio.to_thread(broker.start)
        await sending

        async def all_there() -> bool:
            return set(accepted) <= {value for _, value in await effects(effects_db)}

        await eventually(all_there, 40)
    async with effects_db.read() as uow:
        twice = "SELECT count(*) FROM (SELECT FROM effects GROUP BY part, off HAVING count(*) > 1) AS x"
        assert (await uow.conn.execute(text(twice))).scalar_one() == 0
    assert waits
    assert max(waits) < 4.0


@pytest.mark.timeout(60)
async def test_offsets_are_known_again_right_after_a_restart(broker: KafkaBroker, open_log: OpenLog) -> None:
    """What the client knew of the leaders is older than they are: a look at the topics makes it learn."""
    log = open_log()
    await log.ensure_topics([SPEC])
    await log.append([NewRecord(SPEC.name, f"key-{number}", b"1") for number in range(8)])
    assert sum((await log.end_offsets(SPEC.name)).values()) == 8
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(broker.start)

    async def known() -> bool:
        try:
            return sum((await log.end_offsets(SPEC.name)).values()) == 8
        except LogUnavailable:
            return False

    await eventually(known, 10)


async def _true(value: bool) -> bool:
    return value
