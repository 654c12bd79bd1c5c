"""Which reads have a short way, and how their answers are made: those of a moment together, by the same statements."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel

from auto_insurance.infra.cache.keys import CacheKey, Place
from auto_insurance.infra.cache.l1 import Held
from auto_insurance.infra.cache.tiered import ReadCache
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.together import Together
from auto_insurance.kernel.errors import AppError

_DRIVER = "{driver_id}"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_NUMBER = re.compile(rb"[0-9]{1,6}")
AT_ONCE = 50
"""Answers that are made together at most: they are held in memory, and the first waits for the last."""


class Bounds(NamedTuple):
    """A whole number in the query: its default, and which values take the short way."""

    default: int
    least: int
    most: int


Numbers = Mapping[str, int]
Build = Callable[[UnitOfWork, str, Numbers], Awaitable[BaseModel]]
"""Takes a transaction, a driver and the numbers of the query; returns the route's answer."""
BuildMany = Callable[[UnitOfWork, Sequence[str], Numbers], Awaitable[Mapping[str, BaseModel]]]
"""The same of several drivers, by as many statements whatever their number; of those that have an answer already."""
Authenticate = Callable[[str], Awaitable[Any]]
Admit = Callable[[Any, str], Awaitable[str]]
"""Takes the caller and the driver of the path; returns the driver that is meant, or raises."""
AdmitStaff = Callable[[Any], Awaitable[Any]]
"""Takes the caller; raises if it may not see this."""


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
    many: BuildMany | None = None
    """Makes the answers of a moment together and writes nothing; who is not in what it returns is left to ``build``."""


class Figures(Protocol):
    """Figures of the whole book by the numbers of the query, kept for a few seconds."""

    def peek(self, numbers: Numbers) -> Held | None:
        """Return what is kept."""

    async def make(self, numbers: Numbers) -> Held:
        """Count, or wait for who counts."""


@dataclass(frozen=True, slots=True)
class FigureRead:
    """A route of figures that are the same to all whom its rule lets in."""

    path: str
    figures: Figures
    params: Mapping[str, Bounds] = field(default_factory=dict)


def _numbers(params: Mapping[str, Bounds], query: bytes) -> tuple[str, Numbers] | None:
    """Return the query's numbers and a word for them; None for what the route must judge."""
    found = {name: bounds.default for name, bounds in params.items()}
    given: set[str] = set()
    for part in query.split(b"&") if query else ():
        name, _, value = part.decode("latin-1").partition("=")
        bounds = params.get(name)
        if bounds is None or name in given or not _NUMBER.fullmatch(value.encode("latin-1")):
            return None
        given.add(name)
        found[name] = int(value)
        if not bounds.least <= found[name] <= bounds.most:
            return None
    return "-".join(map(str, found.values())), found


class FigureWay:
    """Figures with the rule of their route."""

    def __init__(self, read: FigureRead, template: str, admit: AdmitStaff) -> None:
        self.figures = read.figures
        self.admit = admit
        self.template = template
        self.numbers = lru_cache(maxsize=1024)(lambda query: _numbers(read.params, query))


_Wanted = tuple[str, tuple[tuple[str, int], ...]]
"""A driver and the numbers of the query."""


class Way:
    """A read with its rule and all that can be made ready once."""

    def __init__(self, read: Read, template: str, admit: Admit, database: Database) -> None:
        self.read = read
        self.admit = admit
        self.template = template
        self.numbers = lru_cache(maxsize=1024)(lambda query: _numbers(read.params, query))
        self._database = database
        self._together: Together[_Wanted, bytes] = Together(self._fetch, AT_ONCE)

    async def build(self, driver_id: str, numbers: Numbers) -> bytes:
        """Make an answer from the rows, in one transaction with others of the moment or in its own."""
        if self.read.many is not None:
            found = await self._together.get((driver_id, tuple(numbers.items())))
            if found is not None:
                return found
        begin = self._database.begin if self.read.writes else self._database.read
        async with begin() as uow:
            answer = await self.read.build(uow, driver_id, numbers)
        return _bytes_of(answer)

    async def _fetch(self, wanted: Sequence[_Wanted]) -> dict[_Wanted, bytes]:
        assert self.read.many is not None  # noqa: S101 - asked above
        by_numbers: dict[tuple[tuple[str, int], ...], list[str]] = {}
        for driver_id, numbers in wanted:
            by_numbers.setdefault(numbers, []).append(driver_id)
        try:
            async with self._database.read() as uow:
                made = {
                    (driver_id, numbers): answer
                    for numbers, driver_ids in by_numbers.items()
                    for driver_id, answer in (await self.read.many(uow, driver_ids, dict(numbers))).items()
                }
        except AppError:
            # What is wrong with one must not be told to all: each asks for itself.
            return {}
        return {one: _bytes_of(answer) for one, answer in made.items()}


class ReadTable:
    """All short ways of reads: those about a driver by what of the path is not the driver, figures by their path."""

    def __init__(
        self,
        cache: ReadCache,
        database: Database,
        authenticate: Authenticate,
        reads: Sequence[tuple[Read, Admit]],
        prefix: str,
        figures: Sequence[tuple[FigureRead, AdmitStaff]] = (),
    ) -> None:
        self.cache = cache
        self.authenticate = authenticate
        self._prefix = f"{prefix}/"
        self._cut = len(self._prefix)
        self._ways: dict[tuple[str, str], Way] = {}
        for read, admit in reads:
            first, _, rest = read.path.strip("/").partition("/")
            driver, _, rest = rest.partition("/")
            if driver != _DRIVER:
                raise ValueError(f"{read.path} is not about one driver")
            self._ways[first, rest] = Way(read, f"{prefix}{read.path}", admit, database)
        self._figures = {f"{prefix}{one.path}": FigureWay(one, f"{prefix}{one.path}", admit) for one, admit in figures}

    def match(self, path: str) -> tuple[Way | FigureWay, str] | None:
        """Return the way for a path and the driver in it, empty for figures."""
        if not path.startswith(self._prefix):
            return None
        parts = path[self._cut :].split("/", 2)
        if len(parts) < 2:
            return None
        way = self._ways.get((parts[0], parts[2] if len(parts) == 3 else ""))
        if way is None:
            figures = self._figures.get(path)
            return None if figures is None else (figures, "")
        # The bare path ends without a slash.
        if (len(parts) == 3 and not parts[2]) or not _ID.fullmatch(parts[1]):
            return None
        return way, parts[1]

    async def held(self, way: Way, place: Place, numbers: Numbers) -> Held:
        """Return an answer from Redis or made now."""
        return await self.cache.read(place, lambda: way.build(place.driver_id, numbers))


def _bytes_of(answer: BaseModel) -> bytes:
    return answer.model_dump_json(by_alias=True).encode()
