"""Short ways past the router for the few routes that machines call thousands of times a second.

Matching all routes and solving dependencies costs more than such a route's own work. A lane is found by method and
path and does what its route does; what is unusual about a request it leaves to the route.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from auto_insurance.infra.http.errors import app_error_handler, http_error_handler
from auto_insurance.kernel.errors import AppError

S = TypeVar("S")


@dataclass(slots=True)
class LaneRequest:
    """A request as a lane sees it."""

    scope: Scope
    receive: Receive

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of that name, in lower case."""
        for key, value in self.scope["headers"]:
            if key == name:
                found: bytes = value
                return found
        return None

    @property
    def query(self) -> bytes:
        """The query string as it was sent."""
        found: bytes = self.scope["query_string"]
        return found

    @property
    def request_id(self) -> str | None:
        """The id that the middleware gave the request."""
        value: str | None = self.scope.get("state", {}).get("request_id")
        return value

    def service(self, cls: type[S]) -> S:
        """Return the composed instance of a service."""
        services: Mapping[type, object] = self.scope["app"].state.services
        return cast("S", services[cls])

    async def body(self) -> bytes:
        """Return the whole body. Raises ``ClientDisconnect``."""
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            whole: bytes = message.get("body", b"")
            return whole
        pieces: list[bytes] = []
        while message["type"] == "http.request":
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(pieces)
            message = await self.receive()
        raise ClientDisconnect


Answer = Callable[[LaneRequest], Awaitable[bytes]]
"""Takes the request and returns JSON."""


@dataclass(frozen=True, slots=True)
class Lane:
    """How one route is answered, and which requests are left to the route."""

    status: int
    accepts: Callable[[LaneRequest], bool]
    answer: Answer


@dataclass(frozen=True, slots=True)
class LaneRoute:
    """Stands for the route where logs and metrics look for its template. Successes are logged at debug."""

    path_format: str


class LaneMiddleware:
    """Sends requests along their lanes. ``lanes`` are by method and whole path, without parameters."""

    def __init__(self, app: ASGIApp, lanes: Mapping[tuple[str, str], Lane]) -> None:
        self._app = app
        self._lanes = {key: (lane, LaneRoute(key[1])) for key, lane in lanes.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._lanes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        lane, route = found
        request = LaneRequest(scope, receive)
        if not lane.accepts(request):
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        try:
            body = await lane.answer(request)
        except (AppError, HTTPException) as error:
            handler = app_error_handler if isinstance(error, AppError) else http_error_handler
            await (await handler(Request(scope), error))(scope, receive, send)
            return
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        start: dict[str, Any] = {"type": "http.response.start", "status": lane.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})
