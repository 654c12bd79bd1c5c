"""What stands before everything else, where it is wanted: pages of other origins, and https for good."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ASKED = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-API-Key", "X-Request-ID")
TOLD = ("ETag", "Retry-After", "X-Next-Cursor", "X-Request-ID", "X-Total-Count")
REMEMBERED_S = 600


def front(origins: Sequence[str], hsts_s: int) -> list[Middleware]:
    """Return the outermost middleware; nothing where nothing is configured.

    Cookies are not used and not allowed from elsewhere: a page of another origin must hold a token of its own.
    """
    found = []
    if hsts_s:
        found.append(Middleware(HstsMiddleware, seconds=hsts_s))
    if origins:
        found.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_methods=METHODS,
                allow_headers=ASKED,
                expose_headers=TOLD,
                max_age=REMEMBERED_S,
            )
        )
    return found


class HstsMiddleware:
    """Tells browsers to come by https only (RFC 6797)."""

    def __init__(self, app: ASGIApp, seconds: int) -> None:
        self._app = app
        self._header = (b"strict-transport-security", b"max-age=%d; includeSubDomains" % seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), self._header]
            await send(message)

        await self._app(scope, receive, send_with_header)
