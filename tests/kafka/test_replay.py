"""Dead letters that an operator sends once more, on Kafka."""

from __future__ import annotations

import json

import pytest

from auto_insurance.contracts import topics
from auto_insurance.infra.bus.deadletters import DeadLetter, add_dead_letters
from tests.support.kafka import KafkaBroker
from tests.support.kafkaview import KafkaView
from tests.support.product import client_of, product


@pytest.mark.timeout(90)
async def test_a_replayed_letter_is_on_the_log_once_and_marked(broker: KafkaBroker, database_url: str) -> None:
    event = json.dumps({"device_id": "DEV-1"}).encode()
    async with product(database_url, EVENT_LOG="kafka", KAFKA_BOOTSTRAP_SERVERS=broker.address) as container:
        await container.log.ensure_topics(topics.ALL)
        async with container.database.begin() as uow:
            letter = DeadLetter(topics.TELEMATICS_EVENTS, 3, 7, None, "DEV-1", "invalid", "why", event, "g")
            await add_dead_letters(uow, [letter])
        async with client_of(container, admin=True) as staff:
            [listed] = (await staff.get("/admin/dead-letters")).json()
            first = (await staff.post("/admin/dead-letters/replay", json={"ids": [listed["id"]]})).json()
            again = (await staff.post("/admin/dead-letters/replay", json={"ids": [listed["id"]]})).json()
        assert (first["ids"], again["done"]) == ([listed["id"]], 0)
        assert KafkaView(broker.address).ends(topics.TELEMATICS_EVENTS) == 1
