"""Which coding an answer is sent in (``Accept-Encoding``), and the packing of those that are not kept."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import brotli
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auto_insurance.infra.cache.entries import PACK_FROM, PACK_LEVEL

BROTLI_QUALITY = 4
"""5 to 10 % smaller than gzip's level 6 at about its cost; from 5 on the cost doubles."""
_IN_THREAD = 128 * 1024
"""Bytes from which on packing would hold up everybody else."""
_BY_PREFERENCE = (b"br", b"gzip")
_ALIASES = {b"x-gzip": b"gzip"}
_NOT_PACKED = (
    *("application/grpc", "application/gzip", "application/x-gzip", "application/zip", "application/pdf"),
    *("application/vnd.apache.parquet", "application/octet-stream"),
    *("audio/*", "font/woff", "font/woff2", "image/avif", "image/gif", "image/jpeg", "image/png", "image/webp"),
    *("text/event-stream", "video/*"),
)
"""Packed already, or to be seen at once."""


class Wanted(NamedTuple):
    """What a caller takes."""

    coding: bytes | None
    """``br`` or ``gzip``; None for a plain answer."""
    always: bool = False
    """Whether a plain answer is refused, however small."""


PLAIN = Wanted(None)


@lru_cache(maxsize=512)
def wanted(accept: bytes) -> Wanted:
    """Return the coding to answer in (RFC 9110, section 12.5.3): the highest weight, brotli before gzip if it is equal.

    A part that can't be read counts as not there. Who refuses everything gets a plain answer.
    """
    weights: dict[bytes, float] = {}
    for part in accept.lower().split(b","):
        name, *params = (piece.strip() for piece in part.split(b";"))
        weight = _weight(params)
        if name and weight is not None:
            weights[_ALIASES.get(name, name)] = weight
    rest = weights.get(b"*", 0.0)
    best, coding = 0.0, None
    for name in _BY_PREFERENCE:
        weight = weights.get(name, rest)
        if weight > best:
            best, coding = weight, name
    if coding is None or weights.get(b"identity", 0.0) > best:
        return PLAIN
    refused = weights.get(b"identity", weights.get(b"*", 1.0)) == 0.0
    return Wanted(coding, refused)


def _weight(params: list[bytes]) -> float | None:
    for param in params:
        key, _, value = param.partition(b"=")
        if key.strip() == b"q":
            try:
                weight = float(value)
            except ValueError:
                return None
            return weight if 0.0 <= weight <= 1.0 else None
    return 1.0


def accepted(scope: Scope) -> Wanted:
    """Return what the headers of a request ask for; several lines are one list."""
    lines = [value for name, value in scope["headers"] if name == b"accept-encoding"]
    return wanted(b",".join(lines)) if lines else PLAIN


def brotli_of(body: bytes) -> bytes:
    """Return a body packed for ``br``."""
    packed: bytes = brotli.compress(body, quality=BROTLI_QUALITY)
    return packed


class PackMiddleware:
    """Packs answers from ``PACK_FROM`` bytes on, and streams, as the caller asks; never those under ``secret``.

    An answer that holds a secret beside what somebody else chose would tell of the secret by its size (BREACH).
    """

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app = app
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "HEAD" or scope["path"].startswith(self._secret):
            await self._app(scope, receive, send)
            return
        asked = accepted(scope)
        least = 1 if asked.always else PACK_FROM
        responder: IdentityResponder
        if asked.coding == b"br":
            responder = _Brotli(self._app, least, exclude_content_types=_NOT_PACKED)
        elif asked.coding == b"gzip":
            responder = _Gzip(self._app, least, compresslevel=PACK_LEVEL, exclude_content_types=_NOT_PACKED)
        else:
            responder = IdentityResponder(self._app, least, exclude_content_types=_NOT_PACKED)
        await responder(scope, receive, send)


async def _weakened(send: Send, message: Message) -> None:
    """Send on; a packed form is not byte for byte what a strong validator stands for."""
    if message["type"] == "http.response.start":
        headers = message["headers"]
        if any(name == b"content-encoding" for name, _ in headers):
            message["headers"] = [
                (name, b"W/" + value if name == b"etag" and not value.startswith(b"W/") else value)
                for name, value in headers
            ]
    await send(message)


class _Gzip(GZipResponder):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, lambda message: _weakened(send, message))


class _Brotli(IdentityResponder):
    content_encoding = "br"

    def __init__(self, app: ASGIApp, minimum_size: int, *, exclude_content_types: tuple[str, ...]) -> None:
        super().__init__(app, minimum_size, exclude_content_types=exclude_content_types)
        self._packer: brotli.Compressor | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, lambda message: _weakened(send, message))

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        """Return the next packed piece; each can be read at once."""
        if len(body) >= _IN_THREAD:
            return await run_in_threadpool(self._pack, body, more_body)
        return self._pack(body, more_body)

    def _pack(self, body: bytes, more_body: bool) -> bytes:
        packer = self._packer
        if packer is None:
            packer = self._packer = brotli.Compressor(quality=BROTLI_QUALITY)
        piece: bytes = packer.process(body) + (packer.flush() if more_body else packer.finish())
        return piece
