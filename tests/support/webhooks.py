"""A receiver of webhooks that verifies as the Standard Webhooks specification says, written from it alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

TOLERANCE_S = 300
Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Unverified(Exception):
    """The request is not from whom it says."""


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, now_s: float) -> bytes:
    """Return the body if it is from whom it says. Raises ``Unverified``."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message, stamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(now_s - int(stamp)) > TOLERANCE_S:
        raise Unverified("too old or too new")
    content = b".".join([message.encode(), stamp.encode(), body])
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    given = [one.split(",", 1) for one in headers["webhook-signature"].split(" ")]
    if not any(version == "v1" and hmac.compare_digest(value, expected) for version, value in given):
        raise Unverified("no signature fits")
    return body


@dataclass
class Request:
    """What came in."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A real server on 127.0.0.1 that answers what it is told."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    write: Write | None = None
    """Writes the whole answer instead."""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Receiver:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.requests]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *rest = head.rstrip().split("\r\n")
            headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in rest)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append(Request(line, headers, body))
            if self.write is not None:
                await self.write(writer)
            else:
                extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
                writer.write(f"HTTP/1.1 {self.status} X\r\ncontent-length: 2\r\n{extra}\r\nok".encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
