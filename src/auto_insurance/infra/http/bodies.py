"""Bodies of requests: unpacked if gzipped, limited by the bytes really read, packed and unpacked."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auto_insurance.infra.http.errors import HttpProblem

DEFAULT_LIMIT = 1024 * 1024
DEFAULT_IN_FLIGHT = 64 * 1024 * 1024
BUSY_RETRY_S = 1
PIECE = 256 * 1024
"""Bytes unpacked at a time, so that a small packed piece can't fill the memory."""
_GZIP_WINDOW = zlib.MAX_WBITS | 16
_PACKED = frozenset({"gzip", "x-gzip"})


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes of a body at most; ``paths`` (exact) have their own limit."""

    default: int = DEFAULT_LIMIT
    paths: Mapping[str, int] = field(default_factory=dict)
    in_flight: int = DEFAULT_IN_FLIGHT
    """Bytes of all bodies that are being worked on; a body that is alone may always be as large as its own limit."""

    def of(self, path: str) -> int:
        """Return the limit of a path."""
        return self.paths.get(path, self.default)


class BodyMiddleware:
    """Gives the application the plain body, or answers 413 (too large), 400 (corrupt) or 415 (packed otherwise).

    503 when the bodies of all requests under way would take more memory than allowed: whoever sends then comes again.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self._app = app
        self._limits = limits
        self._budget = _Budget(limits.in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limits.of(scope["path"])
        length, encoding = _declared(scope)
        refusal = _refusal(length, encoding, limit)
        if refusal is not None:
            await self._app(scope, _Refused(refusal), send)
            return
        share = _Share(self._budget)
        limited = _Limited(receive, limit, share)
        try:
            if encoding in _PACKED:
                dropped = {b"content-encoding", b"content-length"}
                # In place: the request middleware outside must see the route that is noted in this very mapping.
                scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in dropped]
                await self._app(scope, _Gunzip(limited, limit, share), send)
            else:
                await self._app(scope, limited, send)
        finally:
            share.give_back()


class _Budget:
    """How many bytes of bodies this process holds."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class _Share:
    """What one request holds of the budget."""

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self._held = 0

    def take(self, size: int) -> None:
        """Hold more. Raises :class:`HttpProblem` if all requests together hold too much."""
        budget = self._budget
        if budget.held + size > budget.limit and budget.held > self._held:
            detail = "Too many large requests are under way."
            raise HttpProblem(503, detail, "server_busy", headers={"Retry-After": str(BUSY_RETRY_S)})
        budget.held += size
        self._held += size

    def give_back(self) -> None:
        """Hold nothing any more."""
        self._budget.held -= self._held
        self._held = 0


class _Refused:
    """Says no as soon as a route reads the body: the answer is counted under its route."""

    def __init__(self, refusal: HttpProblem) -> None:
        self._refusal = refusal

    async def __call__(self) -> Message:
        raise self._refusal


def _declared(scope: Scope) -> tuple[str, str]:
    """Return the declared length and encoding, as far as they are declared."""
    length, encoding = b"", b"identity"
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = value
        elif name == b"content-encoding":
            encoding = value
    return length.decode("latin-1"), encoding.decode("latin-1").strip().lower()


def _refusal(content_length: str, encoding: str, limit: int) -> HttpProblem | None:
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        return HttpProblem(
            415, "Bodies may be gzipped or plain.", "unsupported_encoding", headers={"Accept-Encoding": "gzip"}
        )
    if content_length.isdigit() and int(content_length) > limit:
        return too_large(limit)
    return None


def too_large(limit: int) -> HttpProblem:
    """Return the error for a body of more than ``limit`` bytes."""
    return HttpProblem(413, f"The body is larger than {limit} bytes.", "body_too_large")


class _Limited:
    """Counts what arrives: the header may lie or be missing."""

    def __init__(self, receive: Receive, limit: int, share: _Share) -> None:
        self._receive = receive
        self._limit = limit
        self._share = share
        self._seen = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._seen += size
            if self._seen > self._limit:
                raise too_large(self._limit)
            self._share.take(size)
        return message


class _Gunzip:
    """Unpacks while the application reads; several members in a row are one body (RFC 1952, section 2.2)."""

    def __init__(self, receive: Receive, limit: int, share: _Share) -> None:
        self._receive = receive
        self._limit = limit
        self._share = share
        self._unpacked = 0
        self._unpacker = zlib.decompressobj(_GZIP_WINDOW)
        self._pending = b""
        self._more = True

    async def __call__(self) -> Message:
        while True:
            if self._pending:
                piece = self._unpack()
                if piece:
                    return {"type": "http.request", "body": piece, "more_body": True}
                continue
            if not self._more:
                if not self._unpacker.eof:
                    raise _corrupt()
                return {"type": "http.request", "body": b"", "more_body": False}
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            self._pending = message.get("body", b"")
            self._more = message.get("more_body", False)

    def _unpack(self) -> bytes:
        if self._unpacker.eof:
            self._unpacker = zlib.decompressobj(_GZIP_WINDOW)
        try:
            piece = self._unpacker.decompress(self._pending, PIECE)
        except zlib.error as error:
            raise _corrupt() from error
        self._pending = self._unpacker.unconsumed_tail or self._unpacker.unused_data
        self._unpacked += len(piece)
        if self._unpacked > self._limit:
            raise too_large(self._limit)
        self._share.take(len(piece))
        return piece


def _corrupt() -> HttpProblem:
    return HttpProblem(400, "The body is not what gzip makes, or it is cut off.", "corrupt_body")
