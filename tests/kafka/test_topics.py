"""What we demand of topics, whoever made them, and what goes of them when."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from auto_insurance.contracts import topics
from auto_insurance.contracts.topics import TopicSpec
from auto_insurance.infra.bus.errors import InvalidRecord, LogUnavailable, TopicRemade
from auto_insurance.infra.bus.kafka import KafkaLog, KafkaLogOptions
from auto_insurance.infra.bus.protocol import NewRecord
from auto_insurance.infra.bus.runner import Runner, RunnerOptions
from auto_insurance.infra.db.uow import Database
from tests.conformance.conftest import eventually
from tests.conformance.effects import Effects, effects
from tests.conformance.test_log import Positions, read
from tests.kafka.conftest import OpenLog
from tests.support.kafka import KafkaBroker

SPEC = TopicSpec("made-by-others", 3, 2, "key")


def config(broker: KafkaBroker, topic: str) -> dict[str, str]:
    """Return a topic's own settings, as Kafka's tool tells them."""
    said = broker.tool(
        "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", broker.address, "--describe", "--topic", topic
    )
    pairs = said.splitlines()[0].rsplit("Configs:", 1)[1].strip().split(",")
    return dict(pair.split("=", 1) for pair in pairs)


async def _told(broker: KafkaBroker, topic: str) -> Mapping[str, str]:
    """Return a topic's settings once the broker tells of what was set, which takes a moment."""
    for _ in range(100):
        found = config(broker, topic)
        if "message.timestamp.type" in found:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"the broker tells nothing of {topic}")


async def test_a_topic_of_others_gets_the_settings_that_we_rest_on(broker: KafkaBroker, open_log: OpenLog) -> None:
    client = AdminClient({"bootstrap.servers": broker.address})
    await asyncio.wrap_future(client.create_topics([NewTopic(SPEC.name, 3, 1)])[SPEC.name])
    by_age = open_log(held=False)
    assert not await by_age.has_topic("nowhere")
    await by_age.ensure_topics([SPEC, topics.ALL[1]])
    await by_age.ensure_topics([])
    assert await by_age.has_topic(SPEC.name)
    found = await _told(broker, SPEC.name)
    assert (found["message.timestamp.type"], found["retention.ms"]) == ("LogAppendTime", str(2 * 86_400_000))
    held = open_log()
    await held.ensure_topics([SPEC])
    assert config(broker, SPEC.name)["retention.ms"] == "-1"
    await held.check()


async def test_without_groups_age_alone_decides(open_log: OpenLog) -> None:
    log = open_log()
    aged = TopicSpec("aged", 2, 0, "key")
    await log.ensure_topics([SPEC, aged])
    for topic in (SPEC.name, aged.name):
        await log.append([NewRecord(topic, f"k{i}", b"x") for i in range(10)])
    await asyncio.sleep(0.01)
    assert await open_log(held=False).trim() == 0
    assert await log.trim() == 10
    assert set((await log.start_offsets(SPEC.name)).values()) == {0}, "two days have not passed"


async def test_a_topic_made_anew_stops_the_consumer_that_reads_it(
    broker: KafkaBroker, open_log: OpenLog, effects_db: Database
) -> None:
    log = open_log()
    await log.ensure_topics([SPEC])
    await log.append([NewRecord(SPEC.name, "k", b"1")])
    runner = Runner(effects_db, log, Effects([SPEC.name]), RunnerOptions(poll_timeout_s=0.1, tick_interval_s=0.2))
    running = asyncio.create_task(runner.run(asyncio.Event()))

    async def done() -> bool:
        return len(await effects(effects_db)) == 1

    await eventually(done)
    broker.clear()
    await open_log().ensure_topics([SPEC])
    with pytest.raises(TopicRemade):
        await asyncio.wait_for(running, 20)


async def test_an_outage_or_a_missing_topic_shows_in_the_check(broker: KafkaBroker, open_log: OpenLog) -> None:
    log = open_log()
    await log.check()
    await log.ensure_topics([SPEC])
    broker.clear()
    with pytest.raises(LogUnavailable):
        await log.check()
    with pytest.raises(InvalidRecord):
        await log.start_offsets("nowhere")
    nobody = KafkaLog(KafkaLogOptions("127.0.0.1:1", request_timeout_s=0.3, append_timeout_s=0.5))
    with pytest.raises(LogUnavailable):
        await nobody.check()
    with pytest.raises(LogUnavailable):
        await nobody.append([NewRecord("t", "k", b"")])
    with pytest.raises(LogUnavailable):
        await nobody.append([NewRecord("t", "k", b"")])  # at once, for a while
    await nobody.close()


async def test_a_member_of_a_stable_name_keeps_its_partitions_over_a_restart(open_log: OpenLog) -> None:
    first, second = open_log(static_members=True, session_timeout_s=20.0), open_log(session_timeout_s=20.0)
    await first.ensure_topics([SPEC])
    await first.append([NewRecord(SPEC.name, f"k{i}", b"x") for i in range(6)])
    mine = first.consumer("static", [SPEC.name], member="stable-1")
    await mine.start(Positions(first))
    assert len(await read(mine, 6)) == 6
    await mine.close()
    other = second.consumer("static", [SPEC.name], member="passing")
    await other.start(Positions(second))
    assert await other.poll(10, 0.5) == [], "they wait for their owner"
    again = first.consumer("static", [SPEC.name], member="stable-1")
    await again.start(Positions(first))
    async with asyncio.timeout(20):
        while len(again.assignment()) + len(other.assignment()) != 3:
            await asyncio.gather(again.poll(1, 0.1), other.poll(1, 0.1))
    assert again.assignment()
    await other.close()
    await again.close()
