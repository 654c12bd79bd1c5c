"""Short ways for reads about one driver: who asks, may they, bytes that are kept; past router, models and transaction.

A read goes this way if nothing about it is unusual, and only to a 200, a 304 or a 404 for what is known not to exist.
Who it is and whether they may is asked of the very functions that the route depends on; what they refuse, and whatever
else is not plain, takes the route. So the two ways can't come to differ in whom they let in.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import perf_counter
from typing import Any, NamedTuple

import structlog
from fastapi import Request
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from auto_insurance.infra import tracing
from auto_insurance.infra.cache.entries import Entry
from auto_insurance.infra.cache.keys import CacheKey, Place
from auto_insurance.infra.cache.l1 import Held
from auto_insurance.infra.cache.tiered import ReadCache
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.http.encodings import PLAIN, brotli_of, wanted
from auto_insurance.infra.http.errors import app_error_handler, unexpected_response
from auto_insurance.infra.http.lanes import LaneRoute
from auto_insurance.infra.http.middleware import SAFE, account, request_id_from
from auto_insurance.kernel.errors import AppError

log = structlog.get_logger(__name__)
CACHE_CONTROL = b"private, no-cache"
"""Kept by the caller's own cache alone, and asked for again each time: the validator makes that cheap."""
_DRIVER = "{driver_id}"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_NUMBER = re.compile(rb"[0-9]{1,6}")
_BEARER = b"Bearer "
_PLAIN = (
    *SAFE,
    (b"cache-control", CACHE_CONTROL),
    (b"vary", b"Authorization, Accept-Encoding"),
)


class Bounds(NamedTuple):
    """A whole number in the query: its default, and which values take the short way."""

    default: int
    least: int
    most: int


Numbers = Mapping[str, int]
Build = Callable[[UnitOfWork, str, Numbers], Awaitable[BaseModel]]
"""Takes a transaction, a driver and the numbers of the query; returns the route's answer."""
Authenticate = Callable[[str], Awaitable[Any]]
Admit = Callable[[Any, str], Awaitable[str]]
"""Takes the caller and the driver of the path; returns the driver that is meant, or raises."""


@dataclass(frozen=True, slots=True)
class Read:
    """A route about one driver whose answers are kept. ``path`` is under the prefix: ``/drivers/{driver_id}/trips``."""

    path: str
    key: CacheKey
    build: Build
    params: Mapping[str, Bounds] = field(default_factory=dict)
    writes: bool = False
    """Whether making the answer may write, such as a first score."""
    own_only: bool = False
    """Whether only a driver's own takes the short way: to others the answer is as exact as they may see it."""
    facet: Callable[[], str] = str
    """What else an answer depends on in this process, such as the model in use."""


class _Way:
    """A read with its rule and all that can be made ready once."""

    def __init__(self, read: Read, template: str, admit: Admit) -> None:
        self.read = read
        self.admit = admit
        self.template = template
        self.route = LaneRoute(template)
        self.numbers = lru_cache(maxsize=1024)(self._numbers)

    def _numbers(self, query: bytes) -> tuple[str, Numbers] | None:
        """Return the query's numbers and a word for them; None for what the route must judge."""
        found = {name: bounds.default for name, bounds in self.read.params.items()}
        given: set[str] = set()
        for part in query.split(b"&") if query else ():
            name, _, value = part.decode("latin-1").partition("=")
            bounds = self.read.params.get(name)
            if bounds is None or name in given or not _NUMBER.fullmatch(value.encode("latin-1")):
                return None
            given.add(name)
            found[name] = int(value)
            if not bounds.least <= found[name] <= bounds.most:
                return None
        return "-".join(map(str, found.values())), found


class ReadTable:
    """All short ways of reads, by what of the path is not the driver."""

    def __init__(
        self,
        cache: ReadCache,
        database: Database,
        authenticate: Authenticate,
        reads: Sequence[tuple[Read, Admit]],
        prefix: str,
    ) -> None:
        self.cache = cache
        self.authenticate = authenticate
        self._database = database
        self._prefix = f"{prefix}/"
        self._cut = len(self._prefix)
        self._ways: dict[tuple[str, str], _Way] = {}
        for read, admit in reads:
            first, _, rest = read.path.strip("/").partition("/")
            driver, _, rest = rest.partition("/")
            if driver != _DRIVER:
                raise ValueError(f"{read.path} is not about one driver")
            self._ways[first, rest] = _Way(read, f"{prefix}{read.path}", admit)

    def match(self, path: str) -> tuple[_Way, str] | None:
        """Return the way for a path and the driver in it."""
        if not path.startswith(self._prefix):
            return None
        parts = path[self._cut :].split("/", 2)
        if len(parts) < 2:
            return None
        way = self._ways.get((parts[0], parts[2] if len(parts) == 3 else ""))
        # The bare path ends without a slash.
        if way is None or (len(parts) == 3 and not parts[2]) or not _ID.fullmatch(parts[1]):
            return None
        return way, parts[1]

    async def build(self, way: _Way, driver_id: str, numbers: Numbers) -> bytes:
        """Make an answer from the rows, in a transaction of its own."""
        begin = self._database.begin if way.read.writes else self._database.read
        async with begin() as uow:
            answer = await way.read.build(uow, driver_id, numbers)
        return answer.model_dump_json(by_alias=True).encode()


class _Asked:
    """The headers that matter, found in one pass."""

    __slots__ = ("packed", "request_id", "secret", "seen")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.secret: bytes | None = None
        self.seen = b""
        self.packed = PLAIN
        self.request_id = b""
        for name, value in headers:
            if name == b"authorization":
                if self.secret is None:
                    self.secret = value
            elif name == b"if-none-match":
                self.seen = value
            elif name == b"accept-encoding":
                self.packed = wanted(value)
            elif name == b"x-request-id":
                self.request_id = self.request_id or value


class ReadMiddleware:
    """Answers reads from what is kept. Outermost: its answers need none of what the others add."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        table: ReadTable | None = getattr(scope["app"].state, "reads", None)
        found = table.match(scope["path"]) if table is not None else None
        if table is None or found is None or not await self._answered(table, *found, scope, receive, send):
            await self._app(scope, receive, send)

    async def _answered(
        self, table: ReadTable, way: _Way, named: str, scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Answer if this read is a plain one; False if the route must."""
        started = perf_counter()
        asked = _Asked(scope["headers"])
        query = way.numbers(scope["query_string"])
        if query is None or asked.packed.always or asked.secret is None or not asked.secret.startswith(_BEARER):
            return False
        try:
            caller = await table.authenticate(asked.secret[len(_BEARER) :].decode("latin-1"))
            driver_id = await way.admit(caller, named)
        except Exception:  # whatever it is, such as a database that is away, the route says it as all routes do
            return False
        if way.read.own_only and caller.driver_id != driver_id:
            return False
        place = way.read.key.place(driver_id, f"{query[0]}{way.read.facet()}")
        request_id = request_id_from(asked.request_id)
        traced = tracing.begin("http_request")
        held = table.cache.peek(place)
        if held is not None and held.entry.absent is None:
            status = await _send(held, asked, request_id, send)
        else:
            scope.setdefault("state", {})["request_id"] = request_id
            tokens = structlog.contextvars.bind_contextvars(request_id=request_id)
            try:
                status = await self._made(table, way, place, query[1], held, asked, request_id, (scope, receive, send))
            finally:
                structlog.contextvars.reset_contextvars(**tokens)
        account("GET", way.template, status, perf_counter() - started, request_id)
        if traced is not None:
            tracing.finish(traced, f"GET {way.template}", status)
        return True

    @staticmethod
    async def _made(
        table: ReadTable,
        way: _Way,
        place: Place,
        numbers: Numbers,
        held: Held | None,
        asked: _Asked,
        request_id: str,
        wire: tuple[Scope, Receive, Send],
    ) -> int:
        try:
            if held is None:
                held = await table.cache.read(place, lambda: table.build(way, place.driver_id, numbers))
            held.entry.given()
        except Exception as error:
            known = isinstance(error, AppError)
            request = Request(wire[0])
            answer = await app_error_handler(request, error) if known else unexpected_response(error, request_id)
            answer.raw_headers.extend([*_PROBLEM, (b"x-request-id", request_id.encode())])
            await answer(*wire)
            return answer.status_code
        return await _send(held, asked, request_id, wire[2])


_PROBLEM = (*SAFE, (b"cache-control", b"no-store"))


async def _send(held: Held, asked: _Asked, request_id: str, send: Send) -> int:
    ready = held.ready
    if ready is None:
        ready = held.ready = _Ready(held)
    entry = held.entry
    if asked.seen and _same(entry.etag, asked.seen):
        status, headers, body = 304, ready.unchanged, b""
    elif asked.packed.coding is not None and entry.packed is not None:
        status = 200
        headers, body = ready.brotli(entry) if asked.packed.coding == b"br" else (ready.packed, entry.packed)
    else:
        status, headers, body = 200, ready.plain, entry.body
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": status,
        "headers": [*headers, (b"x-request-id", request_id.encode())],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})
    return status


Headers = tuple[tuple[bytes, bytes], ...]


class _Ready:
    """Headers of an answer, made once, and its form in brotli, made for the first who asks for it."""

    __slots__ = ("_brotli", "_kind", "packed", "plain", "unchanged")

    def __init__(self, held: Held) -> None:
        entry = held.entry
        self.unchanged = (*_PLAIN, (b"etag", entry.etag))
        self._kind = kind = (*self.unchanged, (b"content-type", b"application/json"))
        self.plain = (*kind, (b"content-length", b"%d" % len(entry.body)))
        packed = len(entry.packed or b"")
        self.packed = (*kind, (b"content-encoding", b"gzip"), (b"content-length", b"%d" % packed))
        self._brotli: tuple[Headers, bytes] | None = None

    def brotli(self, entry: Entry) -> tuple[Headers, bytes]:
        """Return headers and body in brotli. Here and not in Redis: storing costs no more, values are no larger."""
        if self._brotli is None:
            body = brotli_of(entry.body)
            length = (b"content-length", b"%d" % len(body))
            self._brotli = (*self._kind, (b"content-encoding", b"br"), length), body
        return self._brotli


def _same(etag: bytes, seen: bytes) -> bool:
    """Compare validators weakly (RFC 9110, section 8.8.3.2): both forms of an answer are the same answer."""
    strong = etag.removeprefix(b"W/")
    return any(one.strip().removeprefix(b"W/") == strong for one in seen.split(b",")) or seen.strip() == b"*"
