from __future__ import annotations

from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from starlette.types import Message

from auto_insurance.infra.http.bodies import BodyLimits, BodyMiddleware
from auto_insurance.infra.http.middleware import RequestMiddleware, SecurityHeadersMiddleware
from auto_insurance.infra.http.pagination import PageRequest
from auto_insurance.infra.http.routes import declared_routes
from auto_insurance.infra.metrics import REGISTRY


def count(endpoint: str, status: int, method: str = "GET") -> float:
    labels = {"method": method, "endpoint": endpoint, "status": str(status)}
    total = REGISTRY.get_sample_value("http_requests_total", labels) or 0.0
    assert (REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) or 0.0) == total
    return total


async def test_a_request_id_is_taken_over_and_given_back(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/things/5", headers={"X-Request-ID": "my.id-1_2"})
    assert answer.headers["x-request-id"] == "my.id-1_2"
    assert answer.json() == {"id": 5, "request_id": "my.id-1_2"}


@pytest.mark.parametrize("bad", ["", "x" * 65, "a b", "a\tb", "é", "<script>"])
async def test_a_bad_request_id_is_replaced(client: httpx.AsyncClient, bad: str) -> None:
    answer = await client.get("/api/v1/things/5", headers={b"X-Request-ID": bad.encode()})
    assert answer.headers["x-request-id"] != bad
    assert len(answer.headers["x-request-id"]) == 36


async def test_requests_are_counted_by_template(client: httpx.AsyncClient) -> None:
    ok, missing = count("/api/v1/things/{thing_id}", 200), count("unmatched", 404)
    await client.get("/api/v1/things/7")
    await client.get("/api/v1/things/8")
    await client.get("/no/such/9")
    assert count("/api/v1/things/{thing_id}", 200) == ok + 2
    assert count("unmatched", 404) == missing + 1


async def test_failures_and_odd_methods_are_counted(client: httpx.AsyncClient) -> None:
    crashed, odd = count("/api/v1/things/crash", 500), count("unmatched", 404, "other")
    await client.get("/api/v1/things/crash")
    await client.request("BREW", "/coffee")
    assert count("/api/v1/things/crash", 500) == crashed + 1
    assert count("unmatched", 404, "other") == odd + 1


async def test_the_access_line(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        await client.get("/api/v1/things/7?token=hunter2", headers={"X-Request-ID": "r1"})
    (line,) = [line for line in lines if line["event"] == "http_request"]
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/v1/things/{thing_id}", 200)
    assert line["request_id"] == "r1"
    assert line["duration_ms"] >= 0
    assert "hunter2" not in str(line)
    assert structlog.contextvars.get_contextvars() == {}


async def test_security_headers(client: httpx.AsyncClient) -> None:
    private = await client.get("/api/v1/things/7")
    assert private.headers["cache-control"] == "no-store"
    assert private.headers["x-frame-options"] == "DENY"
    assert private.headers["referrer-policy"] == "no-referrer"
    assert "cache-control" not in (await client.get("/live")).headers


async def test_other_protocols_pass_through() -> None:
    seen: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    stack = SecurityHeadersMiddleware(RequestMiddleware(BodyMiddleware(inner, BodyLimits())))

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    await stack({"type": "websocket"}, receive, send)
    assert seen == ["websocket"]


async def test_pages(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/v1/things/page?page=3")).json()
    assert page == {"items": [40, 41, 42, 43, 44], "total": 45, "page": 3, "page_size": 20}
    for query in ("page=0", "page_size=0", "page_size=101", "page=x"):
        assert (await client.get(f"/api/v1/things/page?{query}")).status_code == 422
    assert PageRequest(2, 50).offset == 50


def test_declared_routes(app: FastAPI) -> None:
    routes = declared_routes(app)
    assert ("POST", "/api/v1/things", 200) in routes
    assert ("GET", "/api/v1/things/{thing_id}", 200) in routes
    assert ("GET", "/ready", 200) in routes
