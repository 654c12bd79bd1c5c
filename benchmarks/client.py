"""An HTTP client as small as can be, so that the machine is left to the server: prepared bytes on kept-open sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from gzip import compress
from typing import cast

import uvloop

from benchmarks.provision import key_of
from benchmarks.results import Wrong
from benchmarks.uploads import Upload

PATH = "/api/v1/telematics/events/batch"
_LENGTH = b"content-length:"
_GZIP_LEVEL = 5


def request(
    method: str,
    path: str,
    body: bytes = b"",
    *,
    key: str = "",
    packed: bool = False,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{name}: {text}" for name, text in (headers or {}).items())]
    if key:
        lines += [f"X-Device-Key: {key}", "Content-Type: application/json"]
    if packed:
        body = compress(body, _GZIP_LEVEL)
        lines.append("Content-Encoding: gzip")
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def upload_request(upload: Upload, *, packed: bool = False) -> bytes:
    """Return the request of an upload, with its device's key."""
    return request("POST", PATH, upload.body, key=key_of(upload.device), packed=packed)


@dataclass(slots=True)
class Rate:
    """What came of a number of requests."""

    requests: int
    seconds: float
    latencies_s: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Requests answered per second."""
        return self.requests / self.seconds

    def percentile_ms(self, share: float) -> float:
        """Return a percentile of the latencies in milliseconds."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, done: Callable[[Connection, int, bytes], None]) -> None:
        self._done = done
        self._buffer = bytearray()
        self._wanted = 0
        self.transport: asyncio.Transport | None = None
        self.lost = False
        self.sent_at = 0.0
        self.tag: float = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def send(self, message: bytes) -> None:
        """Send a request; ``done`` is called with the status and the body of its answer."""
        assert self.transport is not None
        self.sent_at = time.perf_counter()
        self.transport.write(message)

    def data_received(self, data: bytes) -> None:
        """Collect until the answer is whole."""
        self._buffer += data
        if not self._wanted:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            at = head.find(_LENGTH)
            length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self._wanted = end + 4 + length
        if len(self._buffer) >= self._wanted:
            answer = bytes(self._buffer[: self._wanted])
            del self._buffer[: self._wanted]
            self._wanted = 0
            self._done(self, int(answer[9:12]), answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it: whoever waits is told by the caller."""
        self.lost = True
        self._done(self, 0, b"connection lost")


def check(status: int, answer: bytes, expected: int) -> None:
    """Raise ``Wrong`` for another status, or if an event of the upload was rejected."""
    if status != expected or (expected == 202 and b'"rejected":0' not in answer):
        raise Wrong(f"status {status} where {expected} with nothing rejected is due: {answer[-400:]!r}")


Check = Callable[[int, bytes, int], None]
"""Takes status, answer and the status that is due; raises ``Wrong``."""


def _judge(check: Check, expected: int, status: int, answer: bytes) -> None:
    check(status, answer, expected)


def run_for(
    port: int, messages: Sequence[bytes], seconds: float, *, clients: int, expected: int, check: Check = check
) -> Rate:
    """Send over and over on ``clients`` connections, each when its last is answered; blocks. Raises ``Wrong``."""
    return uvloop.run(
        _closed_loop(port, _cycle(messages), seconds, clients, lambda status, answer: check(status, answer, expected))
    )


def run_once(port: int, messages: Sequence[bytes], *, clients: int, expected: int, check: Check = check) -> Rate:
    """Send each once."""
    return uvloop.run(
        _closed_loop(port, iter(messages), 600.0, clients, lambda status, answer: check(status, answer, expected))
    )


def _cycle(messages: Sequence[bytes]) -> Iterator[bytes]:
    while True:
        yield from messages


async def _closed_loop(
    port: int, messages: Iterator[bytes], seconds: float, clients: int, judge: Callable[[int, bytes], None]
) -> Rate:
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()
    rate = Rate(0, 0.0)
    started = time.perf_counter()
    active = clients
    ended = False

    def done(connection: Connection, status: int, answer: bytes) -> None:
        nonlocal active
        if ended or finished.done():
            return
        now = time.perf_counter()
        try:
            judge(status, answer)
        except Wrong as wrong:
            finished.set_exception(RuntimeError(str(wrong)))
            return
        rate.latencies_s.append(now - connection.sent_at)
        message = next(messages, None) if now - started < seconds else None
        if message is not None:
            connection.send(message)
            return
        active -= 1
        if not active:
            finished.set_result(None)

    connections = [
        (await loop.create_connection(lambda: Connection(done), "127.0.0.1", port))[1] for _ in range(clients)
    ]
    started = time.perf_counter()
    for connection in connections:
        connection.send(next(messages))
    try:
        async with asyncio.timeout(seconds + 60):
            await finished
    except RuntimeError as wrong:
        raise Wrong(str(wrong)) from None
    finally:
        ended = True
        for connection in connections:
            if connection.transport is not None:
                connection.transport.close()
    rate.seconds = time.perf_counter() - started
    rate.requests = len(rate.latencies_s)
    return rate
