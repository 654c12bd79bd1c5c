"""Short ways past the router: the same answers, errors and labels as the route that they stand for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from starlette.requests import ClientDisconnect
from starlette.types import Message

from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.http.app import API_PREFIX, AppOptions, AppState, attach_state, create_app
from auto_insurance.infra.http.bodies import BodyLimits
from auto_insurance.infra.http.errors import HttpProblem
from auto_insurance.infra.http.lanes import Lane, LaneMiddleware, LaneRequest
from auto_insurance.infra.metrics import REGISTRY
from auto_insurance.kernel.errors import Unavailable

PATH = f"{API_PREFIX}/echo"


class Echo:
    """A service."""

    def say(self, body: bytes) -> bytes:
        if body == b"away":
            raise Unavailable("gone for lunch", retry_after_s=3)
        if body == b"teapot":
            raise HttpProblem(418, "short and stout", "teapot")
        if body == b"bug":
            raise ZeroDivisionError
        return b'"%s"' % body


async def answer(request: LaneRequest) -> bytes:
    assert request.request_id
    assert request.header(b"x-none") is None
    return request.service(Echo).say(await request.body())


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    router = APIRouter()

    @router.post("/echo")
    def route() -> str:
        return "by the route"

    lane = Lane(202, lambda request: request.query == b"" and request.header(b"x-odd") is None, answer)
    app = create_app(AppOptions(limits=BodyLimits(100)), [router], lanes={("POST", "/echo"): lane})
    attach_state(app, AppState(database=Database.__new__(Database), services={Echo: Echo()}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def counted(status: int) -> float:
    labels = {"method": "POST", "endpoint": PATH, "status": str(status)}
    return REGISTRY.get_sample_value("http_requests_total", labels) or 0.0


async def test_the_lane_answers_and_counts_under_its_route(client: httpx.AsyncClient) -> None:
    before = counted(202)
    found = await client.post(PATH, content=b"hello", headers={"X-Request-ID": "r-1"})
    assert (found.status_code, found.json()) == (202, "hello")
    assert found.headers["X-Request-ID"] == "r-1"
    assert found.headers["Content-Type"] == "application/json"
    assert found.headers["Cache-Control"] == "no-store"
    assert counted(202) == before + 1


@pytest.mark.parametrize(("query", "headers"), [("?a=1", {}), ("", {"X-Odd": "1"})])
async def test_what_is_unusual_takes_the_route(client: httpx.AsyncClient, query: str, headers: dict[str, str]) -> None:
    found = await client.post(f"{PATH}{query}", content=b"hello", headers=headers)
    assert (found.status_code, found.json()) == (200, "by the route")
    assert (await client.get(PATH)).status_code == 405


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"away", 503, "unavailable"),
        (b"teapot", 418, "teapot"),
        (b"bug", 500, "internal_error"),
        (b"x" * 101, 413, "body_too_large"),
    ],
)
async def test_errors_are_problems(client: httpx.AsyncClient, body: bytes, status: int, code: str) -> None:
    before = counted(status)
    found = await client.post(PATH, content=body)
    assert (found.status_code, found.json()["code"]) == (status, code)
    assert found.headers["Content-Type"] == "application/problem+json"
    assert found.json()["request_id"] == found.headers["X-Request-ID"]
    assert counted(status) == before + 1
    assert found.headers.get("Retry-After") == ("3" if status == 503 else None)


async def test_a_body_in_pieces_and_a_caller_who_leaves() -> None:
    async def body_of(*messages: Message) -> bytes:
        waiting = list(messages)

        async def receive() -> Message:
            return waiting.pop(0)

        return await LaneRequest({"headers": []}, receive).body()

    def part(body: bytes, more: bool) -> Message:
        return {"type": "http.request", "body": body, "more_body": more}

    assert await body_of(part(b"a", True), part(b"b", True), part(b"", False)) == b"ab"
    assert await body_of({"type": "http.request"}) == b""
    with pytest.raises(ClientDisconnect):
        await body_of(part(b"a", True), {"type": "http.disconnect"})


async def test_other_protocols_pass() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def unused(*_: Any) -> Any:
        raise AssertionError

    await LaneMiddleware(app, {})({"type": "lifespan"}, unused, unused)
    assert seen == ["lifespan"]
