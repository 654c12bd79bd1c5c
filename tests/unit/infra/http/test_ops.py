from __future__ import annotations

from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.health import HealthRegistry, Lifecycle, Probe
from auto_insurance.infra.http.app import AppState, attach_state


async def fine() -> None: ...


async def broken() -> None:
    raise ConnectionError


def state(app: FastAPI, *checks: Probe, **more: Any) -> Lifecycle:
    life = Lifecycle()
    registry = HealthRegistry(checks, reuse_s=0)
    attach_state(app, AppState(cast("Database", None), health=registry, lifecycle=life, **more))
    return life


async def test_health_tells_status_version_and_latencies(app: FastAPI, client: httpx.AsyncClient) -> None:
    state(app, Probe("database", fine), Probe("redis", broken, critical=False))
    answer = await client.get("/health")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["version"]) == ("degraded", "1.2.3")
    assert set(body["checks"]) == {"database", "redis"}
    assert body["checks"]["redis"]["status"] == "unhealthy"
    assert body["checks"]["redis"]["detail"] == "ConnectionError"
    assert body["checks"]["database"]["latency_ms"] >= 0
    assert answer.headers["cache-control"] == "no-store"


async def test_an_unhealthy_process_says_503(app: FastAPI, client: httpx.AsyncClient) -> None:
    state(app, Probe("database", broken))
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")


async def test_live_needs_nothing(client: httpx.AsyncClient) -> None:
    assert (await client.get("/live")).json() == {"status": "alive"}


async def test_ready_follows_the_life_of_the_process(app: FastAPI, client: httpx.AsyncClient) -> None:
    life = state(app, Probe("database", fine))
    starting = await client.get("/ready")
    assert (starting.status_code, starting.json()["code"]) == (503, "starting")
    life.serve()
    assert (await client.get("/ready")).json() == {"status": "ready"}
    life.drain()
    draining = await client.get("/ready")
    assert (draining.status_code, draining.json()["code"]) == (503, "draining")
    assert "retry-after" in draining.headers


async def test_ready_names_what_is_away(app: FastAPI, client: httpx.AsyncClient) -> None:
    state(app, Probe("database", broken), Probe("redis", broken, critical=False)).serve()
    answer = await client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "Not answering: database."


@pytest.mark.parametrize("enabled", [True, False])
async def test_metrics_can_be_switched_off(app: FastAPI, client: httpx.AsyncClient, enabled: bool) -> None:
    state(app, metrics_enabled=enabled)
    answer = await client.get("/metrics")
    assert answer.status_code == (200 if enabled else 404)
    assert (b"events_stored_total" in answer.content) == enabled
    if enabled:
        assert answer.headers["content-type"].startswith("text/plain")
