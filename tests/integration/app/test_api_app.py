from __future__ import annotations

import asyncio
import contextlib

import httpx
import pytest

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints.api import make_app
from auto_insurance.identity.schemas import NewUser, Role
from auto_insurance.identity.service import UserService
from auto_insurance.infra.health import Phase
from tests.support.product import client_of, settings_for


async def test_the_lifespan_serves_and_drains(container: Container) -> None:
    app = make_app(container)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/ready")).json()["code"] == "starting"
        async with app.router.lifespan_context(app):
            await bootstrap.prepare_log(container, asyncio.Event())
            assert container.lifecycle.phase is Phase.SERVING
            assert (await client.get("/ready")).status_code == 200
        ended = await client.get("/ready")
        assert (ended.status_code, ended.json()["code"]) == (503, "draining")
        assert (await client.get("/live")).status_code == 200


async def test_the_front_door(container: Container) -> None:
    async with client_of(container) as client:
        front = await client.get("http://test/")
        health = (await client.get("http://test/health")).json()
        metrics = (await client.get("http://test/metrics")).text
        document = (await client.get("http://test/openapi.json")).json()
    assert (front.status_code, front.headers["location"]) == (307, "/docs")
    assert set(health["checks"]) == {"database", "event_log", "consumer", "redis"}
    assert health["checks"]["database"]["status"] == "healthy"
    assert health["checks"]["redis"]["status"] == "degraded"
    assert 'endpoint="/api/v1/drivers/{driver_id}/trips"' in metrics
    assert 'kafka_consumer_lag_messages{consumer_group="telematics-consumers-v2"' in metrics
    assert "/api/v1/pricing/{driver_id}/current" in document["paths"]


async def test_from_sign_in_to_the_own_pages(container: Container) -> None:
    """A driver signs in, sees itself, and nobody else."""
    async with container.database.begin() as uow:
        users = container.get(UserService)
        await users.ensure_user(uow, NewUser(username="boss", roles=frozenset({Role.ADMIN})), "a-password-1")
    async with client_of(container) as client:
        assert (await client.get("/drivers/me/trips")).status_code == 401
        login = {"username": "boss", "password": "a-password-1"}
        token = (await client.post("/auth/login", json=login)).json()["access_token"]
        staff = {"Authorization": f"Bearer {token}"}
        made = await client.post("/drivers", headers=staff, json={"state": "CA", "full_name": "Somebody"})
        assert made.status_code == 201
        driver = made.json()["driver_id"]
        for path in ("summary", "statistics", "trips", "alerts", "risk-factors"):
            assert (await client.get(f"/drivers/{driver}/{path}", headers=staff)).status_code == 200
        assert (await client.get(f"/risk/{driver}/score", headers=staff)).json()["confidence"] == 0
        assert (await client.get(f"/pricing/{driver}/current", headers=staff)).json()["monthly_premium"] > 0


async def test_an_upload_is_durable_before_the_answer(container: Container) -> None:
    await bootstrap.prepare_log(container, asyncio.Event())
    async with client_of(container, admin=True) as client:
        driver = (await client.post("/drivers", json={"state": "CA"})).json()["driver_id"]
        key = (await client.post(f"/drivers/{driver}/devices", json={"device_id": "CAR-1"})).json()["key"]
        import time

        event = {"device_id": "CAR-1", "timestamp": int(time.time() * 1000), "speed": 10}
        headers = {"X-Device-Key": key}
        answer = await client.post("/telematics/events/batch", json={"events": [event, {}]}, headers=headers)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    ends = await container.log.end_offsets("telematics-events")
    assert sum(ends.values()) == 1


async def test_preparing_the_log_waits_for_the_database_until_told_to_stop() -> None:
    container = bootstrap.build(settings_for("postgresql://nobody@127.0.0.1:9/none"), "worker")
    stop = asyncio.Event()
    waiting = asyncio.create_task(bootstrap.prepare_log(container, stop))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    stop.set()
    await asyncio.wait_for(waiting, 5)
    with contextlib.suppress(Exception):
        await container.close()


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(bootstrap.NotConfigured, match="DATABASE_URL"):
        bootstrap.build(settings_for(""), "api")
