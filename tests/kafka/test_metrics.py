"""Dashboards need not care which engine runs: the same work moves the same series on both."""

from __future__ import annotations

import asyncio
import json

import pytest

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.contracts import topics
from auto_insurance.entrypoints.worker import work
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.outbox_relay import OutboxRelay
from auto_insurance.infra.bus.protocol import NewRecord
from auto_insurance.kernel import clock
from tests.conformance.conftest import eventually
from tests.support.kafka import KafkaBroker
from tests.support.product import client_of, product

Series = tuple[str, tuple[tuple[str, str], ...]]
FAMILIES = ("kafka_", "events_", "event_end_to_end", "dead_letters")
GROUP, EVENTS, DLQ = "telematics-consumers-v2", topics.TELEMATICS_EVENTS, topics.TELEMATICS_DLQ
MOVED = {
    ("kafka_messages_processed_total", (("status", "ok"), ("topic", EVENTS))): 2,
    ("kafka_messages_processed_total", (("status", "dead"), ("topic", EVENTS))): 2,
    ("kafka_messages_processed_total", (("status", "duplicate"), ("topic", EVENTS))): 1,
    ("events_ingested_total", (("source", "http"), ("status", "accepted"))): 2,
    ("events_ingested_total", (("source", "http"), ("status", "rejected"))): 1,
    ("events_stored_total", ()): 2,
    ("event_end_to_end_seconds_count", ()): 2,
    ("dead_letters_total", (("reason", "malformed"),)): 1,
    ("dead_letters_total", (("reason", "unknown_device"),)): 2,
}
"""Two uploads (one of them twice), one poison record, one record and one part of an upload of unknown devices."""


def _seen() -> dict[Series, float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for metric in metrics.REGISTRY.collect()
        for sample in metric.samples
        if metric.name.startswith(FAMILIES)
    }


def _event(device: str, number: int) -> dict[str, object]:
    at = clock.to_us(clock.now()) // 1000 + number  # not before the device was the driver's
    return {"device_id": device, "timestamp": at, "speed": 10, "event_id": f"e{number}"}


def _record(value: object, key: str = "CAR-1") -> NewRecord:
    return NewRecord(EVENTS, key, value if isinstance(value, bytes) else json.dumps(value).encode())


async def _upload(container: Container) -> None:
    async with client_of(container, admin=True) as client:
        driver = (await client.post("/drivers", json={"state": "CA"})).json()["driver_id"]
        key = (await client.post(f"/drivers/{driver}/devices", json={"device_id": "CAR-1"})).json()["key"]
        events = [_event("CAR-1", 1), {}]
        headers = {"X-Device-Key": key}
        await client.post("/telematics/events/batch", json={"events": events}, headers=headers)
        await client.post("/telematics/events/batch", json={"events": events[:1]}, headers=headers)
    mixed = [_event("CAR-1", 2), _event("NOBODY", 3)]
    for record in (_record(mixed), _record(b"{not json"), _record(_event("NOBODY", 4), "NOBODY")):
        await container.log.append([record])  # one by one: the same order on both engines


async def _moved(url: str, **settings: object) -> tuple[dict[Series, float], set[Series]]:
    """Run the work on an engine; return what moved, and all series that are there."""
    stop = asyncio.Event()
    async with product(url, **settings) as container:
        metrics.init_series(bootstrap.series_plan(container.settings))
        before = _seen()
        await bootstrap.prepare_log(container, stop)
        await _upload(container)
        relay = asyncio.create_task(OutboxRelay(container.database, container.log).run(stop))
        working = asyncio.create_task(work(container, 1, stop))

        async def done() -> bool:
            ends = await container.log.end_offsets(DLQ)
            return _seen().get(("events_stored_total", ()), 0) >= before[("events_stored_total", ())] + 2 and (
                sum(ends.values()) >= 3
            )

        try:
            await eventually(done, 30)
            await asyncio.sleep(1.5)  # one more look at the log's ends
            after = _seen()  # while it runs: who stops takes the lag of its partitions along
        finally:
            stop.set()
            await asyncio.wait_for(asyncio.gather(relay, working), 30)
        assert {value for key, value in after.items() if key[0].startswith("kafka_consumer_lag")} == {0.0}
        return {key: value - before.get(key, 0.0) for key, value in after.items()}, set(before)


@pytest.mark.timeout(180)
async def test_the_same_work_moves_the_same_series_on_both_engines(
    database_url: str, kafka_broker: KafkaBroker, second_database_url: str
) -> None:
    kafka_broker.clear()
    on_postgres, shown = await _moved(database_url, EVENT_LOG="postgres")
    on_kafka, shown_again = await _moved(
        second_database_url, EVENT_LOG="kafka", KAFKA_BOOTSTRAP_SERVERS=kafka_broker.address
    )
    assert shown == shown_again, "every series exists from the start, on both"
    assert on_postgres.keys() == on_kafka.keys()
    for moved in (on_postgres, on_kafka):
        assert {key: moved[key] for key in MOVED} == MOVED
        assert moved[("kafka_offset_commits_total", ())] > 0
        assert moved[("kafka_consumer_errors_total", ())] == 0
        assert moved[("kafka_message_processing_seconds_count", (("topic", EVENTS),))] > 0
        assert {key for key in moved if key[0] == "dead_letters_total" and moved[key]} <= MOVED.keys()
