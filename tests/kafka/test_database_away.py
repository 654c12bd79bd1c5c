"""PostgreSQL is down and Kafka is not: devices known lately go on sending, for a stated time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.contracts import topics
from auto_insurance.drivers.schemas import DeviceAssign, DriverCreate
from auto_insurance.drivers.service import DriverService
from auto_insurance.entrypoints.api import make_app
from auto_insurance.identity.service import DeviceKeyService
from auto_insurance.infra.config import load_settings
from auto_insurance.infra.db import migrate
from auto_insurance.infra.embedded.postgres import PRODUCT, EmbeddedPostgres
from auto_insurance.kernel import clock
from tests.support.kafka import KafkaBroker
from tests.support.people import SECRET
from tests.support.system import scratch_folder

FRESH_S, STALE_S = 0.5, 6.0
LONGEST_S = 5.0
"""A look-up of a key may take 3 s to fail; afterwards the database is left alone for a while."""


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A migrated database server to stop and start."""
    with scratch_folder("ai-away-") as folder:
        own = EmbeddedPostgres(folder / "pg", fast=True)
        own.start()
        try:
            migrate.upgrade(asyncio.run(own.ensure_database(PRODUCT)))
            yield own
        finally:
            own.stop()


@dataclass
class Api:
    """The API as it is composed, in this process."""

    container: Container
    http: httpx.AsyncClient
    keys: dict[str, str]
    driver_id: str
    accepted: int = 0

    async def send(self, device_id: str, key: str = "") -> httpx.Response:
        event: dict[str, Any] = {
            "device_id": device_id, "timestamp": clock.now().isoformat(), "driver_id": self.driver_id
        }  # fmt: skip
        began = time.monotonic()
        headers = {"X-Device-Key": key or self.keys[device_id]}
        answer = await self.http.post("/api/v1/telematics/events/batch", json={"events": [event]}, headers=headers)
        assert time.monotonic() - began < LONGEST_S
        self.accepted += answer.status_code == 202
        return answer


@pytest.fixture
async def api(server: EmbeddedPostgres, broker: KafkaBroker) -> AsyncIterator[Api]:
    """An API on the broker and the server, with a driver and three devices."""
    container = bootstrap.build(
        load_settings(
            {
                "DATABASE_URL": server.url(PRODUCT),
                "JWT_SECRET_KEY": SECRET,
                "EVENT_LOG": "kafka",
                "KAFKA_BOOTSTRAP_SERVERS": broker.address,
                "DEVICE_KEY_CACHE_SECONDS": str(FRESH_S),
                "DEVICE_KEY_STALE_SECONDS": str(STALE_S),
                "DB_CONNECT_TIMEOUT_S": "2",
            }
        ),
        "api",
    )
    await container.log.ensure_topics(topics.ALL)
    drivers = container.get(DriverService)
    keys: dict[str, str] = {}
    async with container.database.begin() as uow:
        driver = await drivers.ensure_driver(uow, 1, DriverCreate(state="IL"))
        for device_id in ("known", "silent", "revoked"):
            wanted = DeviceAssign(device_id=device_id, effective_from=clock.from_us(0))
            issued = await drivers.assign_device(uow, driver.driver_id, wanted)
            keys[device_id] = issued.key.get_secret_value()
    container.lifecycle.serve()
    transport = httpx.ASGITransport(app=make_app(container))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield Api(container, http, keys, driver.driver_id)
    await container.close()


async def until(api: Api, device_id: str, status: int, within_s: float) -> None:
    """Send until the answer has that status."""
    end = time.monotonic() + within_s
    while (await api.send(device_id)).status_code != status:
        assert time.monotonic() < end, f"{device_id}: no {status} within {within_s} s"
        await asyncio.sleep(0.2)


@pytest.mark.timeout(120)
async def test_known_devices_go_on_sending_while_the_database_is_down(api: Api, server: EmbeddedPostgres) -> None:
    for device_id in ("known", "revoked"):
        assert (await api.send(device_id)).status_code == 202
    async with api.container.database.begin() as uow:  # by another process, so that this one's cache does not know
        await DeviceKeyService(api.container.database).revoke(uow, "revoked")
    await until(api, "revoked", 401, FRESH_S + 1.0)
    assert (await api.send("known")).status_code == 202

    await asyncio.to_thread(server.stop)
    down = time.monotonic()
    await asyncio.sleep(FRESH_S)
    for _ in range(3):
        assert (await api.send("known")).status_code == 202
    assert (await api.send("revoked")).status_code in {401, 503}
    for answer in (await api.send("silent"), await api.send("known", "aik_" + "x" * 43)):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    assert (await api.http.get("/ready")).status_code == 200, "it can do its main work"
    assert time.monotonic() - down < STALE_S, "the machine is too slow to tell"
    await until(api, "known", 503, STALE_S)

    await asyncio.to_thread(server.start)
    await until(api, "known", 202, 15.0)
    ends = await api.container.log.end_offsets(topics.TELEMATICS_EVENTS)
    assert sum(ends.values()) == api.accepted
