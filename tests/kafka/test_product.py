"""The whole product on Kafka: real processes, events by HTTP and from Kafka's own producer, Kafka's own lag tool."""

from __future__ import annotations

import json
import re

import httpx
import psutil
import pytest

from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from auto_insurance.kernel import clock
from tests.support.driving import chunks, day_out, expected_contents, key_of
from tests.support.installations import NewSystem
from tests.support.kafka import KafkaBroker
from tests.support.system import System, wait_for
from tests.support.trips import START_US

GROUP = "telematics-consumers-v2"
ZONE = "America/Chicago"


def produce(broker: KafkaBroker, *lines: str) -> None:
    """Send key|value lines with Kafka's console producer."""
    broker.tool(
        "org.apache.kafka.tools.ConsoleProducer",
        *("--bootstrap-server", broker.address, "--topic", TELEMATICS_EVENTS),
        *("--property", "parse.key=true", "--property", "key.separator=|"),
        input="".join(f"{line}\n" for line in lines),
    )


def described(broker: KafkaBroker) -> dict[int, tuple[int, int]]:
    """Return offset and lag of each partition by ``kafka-consumer-groups --describe``."""
    said = broker.tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        *("--bootstrap-server", broker.address, "--describe", "--group", GROUP),
    )
    rows = [line.split() for line in said.splitlines() if line.startswith(GROUP)]
    return {int(row[2]): (int(row[3]), int(row[5])) for row in rows}


def measured(system: System) -> dict[int, int]:
    """Return the lag of each partition by the worker's own metric."""
    port = psutil.Process(system.of("worker")[0].pid).environ()["METRICS_PORT"]
    said = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    lines = [line for line in said.splitlines() if line.startswith("kafka_consumer_lag_messages") and GROUP in line]
    return {int(re.findall(r'partition="(\d+)"', line)[0]): int(float(line.rsplit(" ", 1)[1])) for line in lines}


def live(device: str) -> str:
    """Return an event of now as a line for the console producer."""
    place = {"latitude": 41.2, "longitude": -96.0, "speed": 30}
    event = {"device_id": device, "timestamp": clock.now().isoformat(), **place}
    return f"{device}|{json.dumps(event)}"


@pytest.mark.timeout(180)
def test_the_product_runs_on_kafka(new_system: NewSystem, broker: KafkaBroker) -> None:
    system = new_system(EVENT_LOG="kafka", KAFKA_BOOTSTRAP_SERVERS=broker.address).start_all()
    driver = system.enrol(ZONE)
    key = system.device(driver, "car-1")
    system.device(driver, "car-2")
    drive = day_out("car-1", START_US)
    for part in chunks(drive, 120):
        assert system.send(key, part, importing=True).status_code == 202
    produce(broker, live("car-2"))
    wait_for(lambda: system.stored(["car-1"]) == {key_of(event) for event in drive}, "drive stored", 40)
    wait_for(lambda: len(system.stored(["car-2"])) == 1, "the console producer's event stored", 40)
    expected = expected_contents(drive, driver, ZONE)
    wait_for(lambda: system.contents(["car-1"])["car-1"] == expected, "trips", 40)
    wait_for(lambda: system.value("SELECT count(*) FROM premiums WHERE score_id IS NOT NULL") > 0, "priced", 40)

    query = "SELECT partition_no, next_offset FROM consumer_offsets WHERE group_name = $1"
    stored = {row[0]: (row[1], 0) for row in system.fetch(query, GROUP)}
    wait_for(lambda: described(broker) == stored, "offsets told to Kafka", 30)
    assert measured(system) == dict.fromkeys(range(12), 0)

    system.of("worker")[0].stop()
    produce(broker, *(live("car-2") for _ in range(3)))
    assert sum(lag for _, lag in described(broker).values()) == 3
