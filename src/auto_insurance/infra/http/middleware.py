"""What happens to every request: an id, a log line, two metrics, an answer for errors nobody caught, safe headers."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auto_insurance.infra import acting, metrics, tracing
from auto_insurance.infra.http.errors import unexpected_response
from auto_insurance.infra.http.lanes import LaneRoute
from auto_insurance.infra.http.routes import route_template
from auto_insurance.infra.logging import write_line
from auto_insurance.infra.metrics.series import UNMATCHED
from auto_insurance.kernel import ids

log = structlog.get_logger(__name__)

REQUEST_ID = "X-Request-ID"
_REQUEST_ID = b"x-request-id"
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = frozenset({"/live", "/ready", "/health", "/metrics"})
CLIENT_CLOSED = 499
"""Logged and counted when the caller left before an answer began; never sent."""


class RequestMiddleware:
    """Request id in and out, whose act it is, access log, metrics, and the last resort for errors."""

    def __init__(self, app: ASGIApp, recorder: acting.Recorder | None = None) -> None:
        self._app = app
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [item for item in message.get("headers", ()) if item[0].lower() != _REQUEST_ID]
                message["headers"] = [*headers, (_REQUEST_ID, request_id.encode())]
            await send(message)

        # Not the context manager of the same effect: it costs ten times as much, on every request.
        tokens = structlog.contextvars.bind_contextvars(request_id=request_id)
        traced = tracing.begin("http_request")
        act = acting.start(self._act(scope, request_id))
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            if status:
                # The answer has begun: only cutting the connection tells the caller that it is not whole.
                log.exception("response_broken_off")
                raise
            await unexpected_response(error, request_id)(scope, receive, send_with_id)
        finally:
            template = _account(scope, status or CLIENT_CLOSED, perf_counter() - started)
            if traced is not None:
                tracing.finish(traced, f"{metrics.method_label(scope['method'])} {template}", status or CLIENT_CLOSED)
            structlog.contextvars.reset_contextvars(**tokens)
            acting.stop(act)

    def _act(self, scope: Scope, request_id: str) -> acting.Act | None:
        if self._recorder is None:
            return None
        client = scope.get("client")
        return acting.Act(self._recorder, lambda: _place(scope), request_id, client[0] if client else None)


def _place(scope: Scope) -> acting.Place:
    action = f"{scope['method']} {route_template(scope) or UNMATCHED}"
    return acting.Place(action, {name: str(value) for name, value in scope.get("path_params", {}).items()})


def _request_id(scope: Scope) -> str:
    return request_id_from(next((value for name, value in scope["headers"] if name == _REQUEST_ID), b""))


def request_id_from(given: bytes) -> str:
    """Return the caller's id for the request if it is one, else a new one."""
    if given:
        word = given.decode("latin-1")
        if _VALID_ID.fullmatch(word):
            return word
    return str(ids.new_uuid())


def _account(scope: Scope, status: int, taken_s: float) -> str:
    template = route_template(scope) or UNMATCHED
    method = metrics.method_label(scope["method"])
    count(method, template, status, taken_s)
    quiet = template in _QUIET or (status < 400 and isinstance(scope.get("route"), LaneRoute))
    write = log.debug if quiet else log.info
    write("http_request", method=method, route=template, status=status, duration_ms=round(taken_s * 1000, 2))
    return template


Counting = tuple[Callable[[], None], Callable[[float], None]]
_counting: dict[tuple[str, str, int], Counting] = {}
"""What counts an answer, by its labels: closed sets, and looking them up costs more than counting."""


def count(method: str, template: str, status: int, taken_s: float) -> None:
    """Count an answer and its time; the labels must be of the closed sets."""
    found = _counting.get((method, template, status))
    if found is None:
        labels = (method, template, str(status))
        found = (
            metrics.HTTP_REQUESTS_TOTAL.labels(*labels).inc,
            metrics.HTTP_REQUEST_DURATION_SECONDS.labels(*labels).observe,
        )
        _counting[method, template, status] = found
    found[0]()
    found[1](taken_s)


def account(method: str, template: str, status: int, taken_s: float, request_id: str) -> None:
    """Count and log a request that took a short way around this middleware."""
    count(method, template, status, taken_s)
    facts: dict[str, str | float] = {
        "event": "http_request",
        "request_id": request_id,
        "method": method,
        "route": template,
        "status": status,
        "duration_ms": round(taken_s * 1000, 2),
    }
    if tracing.is_on() or not write_line(logger=__name__, **facts):
        log.info(**facts)


SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_SAFE_PRIVATE = (*SAFE, (b"cache-control", b"no-store"))


class SecurityHeadersMiddleware:
    """Headers that forbid guessing types, framing, leaking addresses, and keeping private answers."""

    def __init__(self, app: ASGIApp, private_prefix: str = "/api/") -> None:
        self._app = app
        self._private_prefix = private_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        private = scope["path"].startswith(self._private_prefix)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {name.lower() for name, _ in headers}
                wanted = _SAFE_PRIVATE if private else SAFE
                message["headers"] = headers + [item for item in wanted if item[0] not in there]
            await send(message)

        await self._app(scope, receive, send_with_headers)
