"""What any log promises together with the runner: each record's effect once, whatever happens."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest
from sqlalchemy import text

from auto_insurance.infra.bus import deadletters, offsets
from auto_insurance.infra.bus.errors import Fenced, TopicRemade
from auto_insurance.infra.bus.protocol import EventLog, NewRecord, TopicPartition
from auto_insurance.infra.bus.runner import Runner
from auto_insurance.infra.db.uow import Database
from tests.conformance.conftest import Spawn, eventually, running
from tests.conformance.effects import GROUP, Effects, effects, in_order_once
from tests.conformance.engines import TOPIC, Engine


def pairs(first: int, past: int, keys: int = 9) -> list[tuple[str, str]]:
    return [(f"key-{i % keys}", f"{i}") for i in range(first, past)]


async def send(log: EventLog, sent: list[tuple[str, str]]) -> None:
    await log.append([NewRecord(TOPIC, key, value.encode()) for key, value in sent])


async def test_a_consumer_goes_on_where_the_one_before_ended(
    log: EventLog, engine: Engine, effects_db: Database
) -> None:
    sent = pairs(0, 50)
    await send(log, sent)
    async with running(effects_db, log, Effects([TOPIC]), max_records=7):
        await eventually(lambda: _count(effects_db, 50))
    await send(log, pairs(50, 80))
    other = engine.open()
    handler = Effects([TOPIC])
    async with running(effects_db, other, handler):
        await eventually(lambda: _count(effects_db, 80))
    await other.close()
    in_order_once(await effects(effects_db), pairs(0, 80))
    assert sorted(handler.lost) == sorted(await log.end_offsets(TOPIC))


async def test_ticks_tell_how_far_the_consumer_has_come(log: EventLog, effects_db: Database) -> None:
    handler = Effects([TOPIC])
    async with running(effects_db, log, handler) as runner:
        await send(log, pairs(0, 10))
        await eventually(lambda: _count(effects_db, 10))
        seen = len(handler.ticks)
        await eventually(lambda: _done(len(handler.ticks) > seen + 2 and len(handler.ticks[-1]) == 4))
        assert all(handler.ticks[-1][tp] > handler.ticks[-2][tp] for tp in handler.ticks[-1])
        assert runner.lag.messages == 0


async def test_poison_goes_to_the_dead_letters_and_the_rest_is_stored(log: EventLog, effects_db: Database) -> None:
    sent = pairs(0, 40, keys=3)
    sent[11], sent[23] = ("key-2", "boom"), ("key-0", "dead")
    await send(log, sent)
    handler = Effects([TOPIC])
    async with running(effects_db, log, handler, attempts=2):
        await eventually(lambda: _count(effects_db, 39))
        await eventually(lambda: _dead(effects_db, 2))
    in_order_once(await effects(effects_db), [pair for pair in sent if pair[1] != "boom"])
    async with effects_db.read() as uow:
        letters, _ = await deadletters.list_dead_letters(uow)
    assert {(x.letter.reason, x.letter.key, x.letter.value) for x in letters} == {
        ("handler_error", "key-2", b"boom"),
        ("conformance", "key-0", b"dead"),
    }
    assert handler.rollbacks > 0


@pytest.mark.parametrize("kills", [2, pytest.param(8, marks=[pytest.mark.faults, pytest.mark.timeout(300)])])
async def test_killed_consumers_lose_nothing_and_repeat_nothing(
    log: EventLog, effects_db: Database, spawn: Spawn, kills: int
) -> None:
    rng = random.Random(7)
    sent: list[tuple[str, str]] = []
    helper = spawn(0.01)
    for _ in range(kills):
        child = spawn(0.01)
        while not await _has_worked(effects_db, child.pid):
            some = pairs(len(sent), len(sent) + 25)
            await send(log, some)
            sent += some
            await asyncio.sleep(0.2)  # a machine under load must be able to follow
        await asyncio.sleep(rng.uniform(0.0, 0.1))
        os.kill(child.pid, signal.SIGKILL)
        child.wait(10)
    await eventually(lambda: _count(effects_db, len(sent)), 40)
    helper.terminate()
    assert helper.wait(15) == 0
    in_order_once(await effects(effects_db), sent)


async def test_a_member_frozen_in_its_transaction_is_fenced(
    log: EventLog, effects_db: Database, spawn: Spawn, tmp_path: Path
) -> None:
    flag = tmp_path / "inside"
    await send(log, pairs(0, 30))
    zombie = spawn(1.0, flag)
    await eventually(lambda: _done(flag.exists()))
    os.kill(zombie.pid, signal.SIGSTOP)
    async with running(effects_db, log, Effects([TOPIC])):
        await eventually(lambda: _count(effects_db, 30), 40)
        os.kill(zombie.pid, signal.SIGCONT)
        await send(log, pairs(30, 60))
        await eventually(lambda: _count(effects_db, 60), 40)
        await asyncio.sleep(1.5)  # time for the zombie to do harm
        zombie.terminate()
        assert zombie.wait(15) == 0
    in_order_once(await effects(effects_db), pairs(0, 60))


async def test_an_owner_that_was_replaced_fails_its_compare_and_set(log: EventLog, effects_db: Database) -> None:
    tp = TopicPartition(TOPIC, 0)
    start = {tp: offsets.Start(await log.topic_id(TOPIC), 0)}
    async with effects_db.begin() as uow:
        before = await offsets.load(uow, GROUP, start)
    async with effects_db.begin() as uow:
        after = await offsets.load(uow, GROUP, start)
    with pytest.raises(Fenced):  # although nothing was read since
        async with effects_db.begin() as uow:
            await offsets.advance(uow, GROUP, before, {tp: 1})
    async with effects_db.begin() as uow:
        await offsets.advance(uow, GROUP, after, {tp: 1})
    with pytest.raises(Fenced):
        async with effects_db.begin() as uow:
            await offsets.verify(uow, GROUP, after)


async def test_a_topic_made_anew_stops_the_consumer(log: EventLog, engine: Engine, effects_db: Database) -> None:
    await send(log, pairs(0, 5))
    async with running(effects_db, log, Effects([TOPIC])):
        await eventually(lambda: _count(effects_db, 5))
    await engine.remake(TOPIC)
    other = engine.open()
    runner = Runner(effects_db, other, Effects([TOPIC]))
    with pytest.raises(TopicRemade):
        await asyncio.wait_for(runner.run(asyncio.Event()), 20)
    async with effects_db.begin() as uow:
        start = offsets.Start(await other.topic_id(TOPIC), 0)
        await offsets.reset(uow, GROUP, dict.fromkeys(await other.end_offsets(TOPIC), start))
    await send(other, pairs(5, 8))
    async with running(effects_db, other, Effects([TOPIC])):
        await eventually(lambda: _count(effects_db, 8))
    await other.close()


async def _done(value: bool) -> bool:
    return value


async def _count(db: Database, number: int) -> bool:
    async with db.begin() as uow:
        return int((await uow.conn.execute(text("SELECT count(*) FROM effects"))).scalar_one()) >= number


async def _dead(db: Database, number: int) -> bool:
    async with db.read() as uow:
        return await deadletters.count_dead_letters(uow) == number


async def _has_worked(db: Database, pid: int) -> bool:
    async with db.read() as uow:
        query = text("SELECT EXISTS (SELECT FROM effects WHERE pid = :pid)")
        return bool((await uow.conn.execute(query, {"pid": pid})).scalar_one())
