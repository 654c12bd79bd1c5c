from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from auto_insurance.devicekit.client import Uploader, UploadFailed, UploadOptions

FAST = UploadOptions(batch_size=2, max_tries=3, first_wait_s=0.001, concurrency=2)
EVENTS: list[dict[str, Any]] = [{"device_id": "d", "n": n} for n in range(5)]


def uploader(answer: Callable[[httpx.Request], httpx.Response], options: UploadOptions = FAST) -> Uploader:
    return Uploader("http://test/", options, httpx.MockTransport(answer))


def accept(request: httpx.Request) -> httpx.Response:
    events = json.loads(gzip.decompress(request.content))["events"]
    return httpx.Response(202, json={"accepted": len(events), "rejected": 0, "results": []})


async def test_batches_in_order_with_key_and_mode() -> None:
    seen: list[tuple[str, str, list[int]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        numbers = [event["n"] for event in json.loads(gzip.decompress(request.content))["events"]]
        seen.append((request.headers["X-Device-Key"], str(request.url), numbers))
        return accept(request)

    async with uploader(answer) as up:
        totals = await up.send("k", EVENTS, importing=True)
        await up.send("k", EVENTS[:1])
    assert totals.accepted == 5
    url = "http://test/api/v1/telematics/events/batch"
    assert seen[:3] == [("k", f"{url}?mode=import", n) for n in ([0, 1], [2, 3], [4])]
    assert seen[3][1] == url


async def test_reasons_are_counted_with_their_place() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        results = [{"index": 1, "reasons": [{"code": "too_old", "message": "old"}]}]
        return httpx.Response(202, json={"accepted": 1, "rejected": 1, "results": results})

    async with uploader(answer) as up:
        totals = await up.send("k", EVENTS[:4])
    assert (totals.accepted, totals.rejected, totals.reasons["too_old"]) == (2, 2, 2)
    assert totals.refused == [(1, "old"), (3, "old")]


async def test_a_full_server_and_a_lost_connection_are_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    answers: list[Any] = [httpx.Response(503, headers={"Retry-After": "7"}), httpx.ConnectError("gone"), None]

    def answer(request: httpx.Request) -> httpx.Response:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found or accept(request)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    async with uploader(answer) as up:
        totals = await up.send("k", EVENTS[:2])
    assert (totals.accepted, totals.retries) == (2, 2)
    assert waits[0] == 7.0
    assert waits[1] <= 0.002


@pytest.mark.parametrize(
    ("answer", "status", "detail"),
    [
        (httpx.Response(401, json={"detail": "no key"}), 401, "no key"),
        (httpx.Response(422, text="?"), 422, "Unprocessable"),
        (httpx.Response(429), None, "given up after 3 tries"),
    ],
)
async def test_what_can_not_succeed_is_said(answer: httpx.Response, status: int | None, detail: str) -> None:
    async with uploader(lambda _: answer) as up:
        with pytest.raises(UploadFailed, match=detail) as caught:
            await up.send("k", EVENTS[:1])
    assert caught.value.status == status


async def test_only_so_many_uploads_run_at_once() -> None:
    running = most = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return accept(request)

    async with Uploader("http://test", FAST, httpx.MockTransport(answer)) as up:
        await asyncio.gather(*(up.send(f"k{n}", EVENTS) for n in range(8)))
    assert most == 2
