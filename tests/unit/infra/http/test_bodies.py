from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from auto_insurance.infra.http.bodies import BodyLimits, BodyMiddleware, _Budget, _Gunzip, _Share
from auto_insurance.infra.http.errors import HttpProblem
from auto_insurance.infra.metrics import REGISTRY

SIZE = "/api/v1/things/size"
GZIP = {"content-encoding": "gzip"}
PLENTY = _Share(_Budget(1 << 40))
JSON_GZIP = {**GZIP, "content-type": "application/json"}


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_body_within_the_limit_passes(client: httpx.AsyncClient) -> None:
    assert (await client.post(SIZE, content=b"x" * 2000)).json() == 2000


async def test_a_declared_size_over_the_limit_is_refused_under_its_route(client: httpx.AsyncClient) -> None:
    labels = {"method": "POST", "endpoint": SIZE, "status": "413"}
    before = REGISTRY.get_sample_value("http_requests_total", labels) or 0.0
    answer = await client.post(SIZE, content=b"x" * 2001)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert REGISTRY.get_sample_value("http_requests_total", labels) == before + 1


async def test_bytes_really_read_count(client: httpx.AsyncClient) -> None:
    answer = await client.post(SIZE, content=chunks(b"x" * 1500, b"x" * 1500))
    assert answer.status_code == 413
    answer = await client.post("/api/v1/things", content=chunks(b"x" * 1500, b"x" * 1500))
    assert answer.status_code == 413, "also where FastAPI reads the body itself"


async def test_a_path_may_have_its_own_limit(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/v1/things/big", json=["x" * 3000])).json() == 1
    assert (await client.post("/api/v1/things/big", json=["x" * 30_000])).status_code == 413


async def test_gzip_is_unpacked(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/things", content=gzip.compress(b'{"name": "a"}'), headers=JSON_GZIP)
    assert answer.json() == {"name": "a", "size": 0}
    assert (await client.post(SIZE, content=gzip.compress(b""), headers=GZIP)).json() == 0


async def test_several_members_are_one_body(client: httpx.AsyncClient) -> None:
    packed = gzip.compress(b"abc") + gzip.compress(b"defg")
    assert (await client.post(SIZE, content=packed, headers=GZIP)).json() == 7


async def test_a_bomb_is_refused_without_unpacking_it_all(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(b"\0" * 1_900_000)
    assert len(bomb) < 2000
    answer = await client.post(SIZE, content=bomb, headers=GZIP)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "body", [b"not gzip", gzip.compress(b"abc" * 100)[:-6], gzip.compress(b"abc") + b"rubbish", b""], ids=range(4)
)
async def test_a_corrupt_body_is_told(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(SIZE, content=body, headers=GZIP)
    assert (answer.status_code, answer.json()["code"]) == (400, "corrupt_body")


async def test_other_encodings_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(SIZE, content=zlib.compress(b"x"), headers={"content-encoding": "br"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding")
    assert answer.headers["accept-encoding"] == "gzip"
    assert (await client.post(SIZE, content=b"x", headers={"content-encoding": "identity"})).json() == 1


async def test_a_route_without_a_body_does_not_mind(client: httpx.AsyncClient) -> None:
    answer = await client.request("GET", "/api/v1/things/3", content=b"x" * 9000)
    assert answer.status_code == 200


async def test_a_caller_who_leaves_is_passed_on() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    assert await _Gunzip(receive, 10, PLENTY)() == {"type": "http.disconnect"}


@given(data=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 3000), max_size=6))
async def test_unpacking_gives_back_what_was_packed_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    packed = gzip.compress(data)
    edges = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    messages = [
        {"type": "http.request", "body": packed[a:b], "more_body": b != len(packed) or i < len(edges) - 2}
        for i, (a, b) in enumerate(pairwise(edges))
    ]

    async def receive() -> Message:
        return messages.pop(0)

    unpack, out = _Gunzip(receive, 3000, PLENTY), b""
    while True:
        message = await unpack()
        out += message["body"]
        if not message["more_body"]:
            break
    assert out == data


async def test_the_limit_holds_for_what_is_unpacked() -> None:
    packed = gzip.compress(b"x" * 101)

    async def receive() -> Message:
        return {"type": "http.request", "body": packed, "more_body": False}

    with pytest.raises(HttpProblem):
        await _Gunzip(receive, 100, PLENTY)()


def test_limits_by_path() -> None:
    limits = BodyLimits(10, {"/a": 20})
    assert (limits.of("/a"), limits.of("/a/"), limits.of("/b")) == (20, 10, 10)


class Slow:
    """Reads bodies and lets the answers wait."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.read = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message: Message = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            self.read += len(message["body"])
        await self.go.wait()


def sent(body: bytes, packed: bool = False) -> tuple[Scope, Receive]:
    headers = [(b"content-encoding", b"gzip")] if packed else []
    messages = [{"type": "http.request", "body": body[i : i + 10], "more_body": True} for i in range(0, len(body), 10)]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    return {"type": "http", "path": "/", "headers": headers}, receive


async def nowhere(message: Message) -> None:
    raise AssertionError("nothing is answered here")


async def test_the_bodies_under_way_are_bounded_together() -> None:
    app = Slow()
    door = BodyMiddleware(app, BodyLimits(1000, in_flight=250))
    alone = asyncio.create_task(door(*sent(b"x" * 900), nowhere))
    await asyncio.sleep(0)
    assert app.read == 900, "a body that is alone may be as large as its limit"
    for body, packed in ((b"y" * 10, False), (gzip.compress(b"y" * 50), True)):
        with pytest.raises(HttpProblem) as refused:
            await door(*sent(body, packed), nowhere)
        assert (refused.value.status_code, refused.value.code) == (503, "server_busy")
        assert refused.value.headers == {"Retry-After": "1"}
    app.go.set()
    await alone
    app.go.clear()
    small = [asyncio.create_task(door(*sent(b"z" * 100), nowhere)) for _ in range(3)]
    done, waiting = await asyncio.wait(small, timeout=0.1)
    assert (len(done), len(waiting)) == (1, 2), "what was held is given back, also after a refusal"
    app.go.set()
    results = await asyncio.gather(*small, return_exceptions=True)
    assert [isinstance(result, HttpProblem) for result in results].count(True) == 1
    await door(*sent(b"x" * 900), nowhere)
