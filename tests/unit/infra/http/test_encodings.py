"""Answers are packed as the caller asks, and only those that may be."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import brotli
import httpx
import pytest
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

from auto_insurance.infra.http.encodings import PackMiddleware, wanted

LARGE = b'{"a": "words that come again"}' * 100
LINES = [b"number,action\r\n", b"1,PATCH\r\n" * 300, b"2,POST\r\n" * 300]

TABLE: list[tuple[str, bytes | None, bool]] = [
    ("", None, False),
    ("gzip", b"gzip", False),
    ("br", b"br", False),
    ("gzip, deflate, br, zstd", b"br", False),
    ("GZIP ; Q=0.5", b"gzip", False),
    ("x-gzip", b"gzip", False),
    ("br;q=0.5, gzip;q=0.8", b"gzip", False),
    ("br;q=0, gzip", b"gzip", False),
    ("br;q=0, gzip;q=0.0", None, False),
    ("gzip;q=0.000", None, False),
    ("deflate, zstd", None, False),
    ("brotli, gzipped", None, False),
    ("*", b"br", False),
    ("*;q=0", None, False),
    ("br;q=0, *", b"gzip", False),
    ("*;q=0.1, gzip;q=0.5", b"gzip", False),
    ("identity", None, False),
    ("identity;q=1, br;q=0.9", None, False),
    ("identity;q=0.5, br;q=0.5", b"br", False),
    ("identity;q=0, gzip", b"gzip", True),
    ("gzip, *;q=0", b"gzip", True),
    ("identity;q=0", None, False),
    ("gzip;q=2", None, False),
    ("br;q=x, gzip", b"gzip", False),
    (",,gzip,", b"gzip", False),
]


@pytest.mark.parametrize(("said", "coding", "always"), TABLE)
def test_the_coding_that_is_chosen(said: str, coding: bytes | None, always: bool) -> None:
    assert wanted(said.encode()) == (coding, always)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()

    @app.get("/small")
    async def small() -> Response:
        return Response(b'{"a": 1}', media_type="application/json")

    @app.api_route("/large", methods=["GET", "HEAD"])
    @app.get("/auth/token")
    async def large() -> Response:
        return Response(LARGE, media_type="application/json", headers={"ETag": '"strong"'})

    @app.get("/file")
    async def file() -> Response:
        return Response(LARGE, media_type="application/zip")

    @app.get("/part")
    async def part() -> Response:
        return Response(LARGE, 206, media_type="text/plain", headers={"Content-Range": "bytes 0-2999/4000"})

    @app.get("/same")
    async def same() -> Response:
        return Response(status_code=304, headers={"ETag": '"strong"'})

    @app.get("/huge")
    async def huge() -> Response:
        return Response(LARGE * 100, media_type="text/plain")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for line in LINES:
                yield line

        return StreamingResponse(pieces(), media_type="text/csv")

    app.add_middleware(PackMiddleware, secret="/auth/")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as made:
        yield made


async def raw(client: httpx.AsyncClient, path: str, said: str, method: str = "GET") -> tuple[httpx.Response, bytes]:
    """Ask; return the answer and its bytes as they were sent."""
    async with client.stream(method, path, headers={"Accept-Encoding": said}) as answer:
        return answer, b"".join([piece async for piece in answer.aiter_raw()])


def plain(answer: httpx.Response, sent: bytes) -> bytes:
    """Unpack by another implementation than httpx's choice of one."""
    coding = answer.headers.get("content-encoding")
    if coding is None:
        return sent
    return gzip.decompress(sent) if coding == "gzip" else brotli.decompress(sent)


@pytest.mark.parametrize(("said", "coding", "always"), TABLE)
async def test_small_large_and_streamed_answers(
    client: httpx.AsyncClient, said: str, coding: bytes | None, always: bool
) -> None:
    name = coding.decode() if coding else None
    for path, body, expected in (
        ("/small", b'{"a": 1}', name if always else None),
        ("/large", LARGE, name),
        ("/huge", LARGE * 100, name),
        ("/stream", b"".join(LINES), name),
    ):
        answer, sent = await raw(client, path, said)
        # A tiny body may grow; it is packed all the same where a plain one is refused.
        assert answer.headers.get("content-encoding") == expected, path
        assert plain(answer, sent) == body, path
        if path != "/small":
            assert answer.headers["vary"] == "Accept-Encoding"
        if path != "/stream":
            assert int(answer.headers["content-length"]) == len(sent)


async def test_a_packed_form_has_a_weak_validator(client: httpx.AsyncClient) -> None:
    for said, etag in (("br", 'W/"strong"'), ("gzip", 'W/"strong"'), ("identity", '"strong"')):
        assert (await raw(client, "/large", said))[0].headers["etag"] == etag


@pytest.mark.parametrize("said", ["br", "gzip", "br, identity;q=0"])
async def test_what_is_never_packed(client: httpx.AsyncClient, said: str) -> None:
    for path in ("/auth/token", "/file", "/part"):
        answer, sent = await raw(client, path, said)
        assert "content-encoding" not in answer.headers, path
        assert sent == LARGE
    answer, sent = await raw(client, "/large", said, "HEAD")
    assert ("content-encoding" in answer.headers, sent) == (False, b"")
    assert int(answer.headers["content-length"]) == len(LARGE)
    answer, sent = await raw(client, "/same", said)
    assert (answer.status_code, sent, answer.headers["etag"]) == (304, b"", '"strong"')
    assert "content-encoding" not in answer.headers


async def test_pieces_of_a_stream_can_be_read_at_once(client: httpx.AsyncClient) -> None:
    _, sent = await raw(client, "/stream", "br")
    assert brotli.Decompressor().process(sent[:15]), "the first line does not wait for the last"
