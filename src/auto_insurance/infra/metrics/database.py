"""Watches statements and pools of an engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from time import perf_counter
from typing import Any, cast
from weakref import WeakKeyDictionary, ref

import structlog
from sqlalchemy import Engine, event
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, PoolProxiedConnection, QueuePool

from auto_insurance.infra.metrics import definitions as m
from auto_insurance.infra.metrics.series import OTHER, QUERY_TYPES

log = structlog.get_logger(__name__)

_VERB = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|COPY|WITH)\b", re.IGNORECASE)
_WRITE = re.compile(r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\b", re.IGNORECASE)
_TABLE = re.compile(r'\b(?:FROM|INTO|UPDATE|JOIN|COPY)\s+(?:ONLY\s+)?"?([a-z_][a-z0-9_]*)', re.IGNORECASE)
_PARTITION = re.compile(r"(_p?\d+|_default)+$")
_STARTED = "auto_insurance_query_started"


class CountedPool(AsyncAdaptedQueuePool):
    """The engine's pool; it counts how often no connection came free in time, and tells of every change.

    The pool's own events leave out connections that failed, were cut off or given up by a cancelled task; whatever
    comes or goes passes the two methods below.
    """

    on_change: Callable[[], None] | None = None

    def connect(self) -> PoolProxiedConnection:
        try:
            return super().connect()
        except sa.TimeoutError:
            m.DB_POOL_TIMEOUTS_TOTAL.inc()
            raise

    def recreate(self) -> CountedPool:
        made = cast("CountedPool", super().recreate())
        made.on_change = self.on_change
        return made

    def _do_get(self) -> ConnectionPoolEntry:
        try:
            return super()._do_get()
        finally:
            self._changed()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        try:
            super()._do_return_conn(record)
        finally:
            self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


def instrument_engine(engine: AsyncEngine, tables: Iterable[str], *, slow_query_s: float = 0.5) -> None:
    """Time every statement of ``engine``; one slower than ``slow_query_s`` is counted and logged without parameters.

    ``tables`` is the closed set of table names; a partition counts as its parent, all else as ``other``.
    """
    classify = classifier(frozenset(tables))
    sync_engine = engine.sync_engine

    @event.listens_for(sync_engine, "before_cursor_execute")
    def before(conn: Any, _cursor: Any, _statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
        conn.info[_STARTED] = perf_counter()

    @event.listens_for(sync_engine, "after_cursor_execute")
    def after(conn: Any, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
        _observe(conn.info.pop(_STARTED, None), *classify(statement), slow_query_s)

    @event.listens_for(sync_engine, "handle_error")
    def failed(context: Any) -> None:
        if context.connection is not None and context.statement is not None:
            # A statement that ran into its time-out is the slowest of all.
            _observe(context.connection.info.pop(_STARTED, None), *classify(context.statement), slow_query_s)


@contextmanager
def time_query(query_type: str, table: str, *, slow_query_s: float = 0.5) -> Iterator[None]:
    """Time work that goes past SQLAlchemy, such as COPY through asyncpg. ``table`` must be of the closed set."""
    started = perf_counter()
    try:
        yield
    finally:
        _observe(started, query_type, table, slow_query_s)


def _observe(started: float | None, query_type: str, table: str, slow_query_s: float) -> None:
    if started is None:
        return
    taken = perf_counter() - started
    m.DB_QUERY_DURATION_SECONDS.labels(query_type, table).observe(taken)
    if taken >= slow_query_s:
        m.DB_SLOW_QUERIES_TOTAL.inc()
        log.warning("slow_query", query_type=query_type, table=table, duration_ms=round(taken * 1000, 1))


def classifier(tables: frozenset[str]) -> Callable[[str], tuple[str, str]]:
    """Return a function from SQL to (query type, first known table), both from closed sets."""

    @lru_cache(maxsize=2048)
    def classify(statement: str) -> tuple[str, str]:
        verb = _VERB.search(statement)
        query_type = verb.group(1).lower() if verb else OTHER
        if query_type == "with":
            write = _WRITE.search(statement)
            query_type = write.group(1).split()[0].lower() if write else "select"
        table = OTHER
        for match in _TABLE.finditer(statement):
            name = match.group(1).lower()
            name = name if name in tables else _PARTITION.sub("", name)
            if name in tables:
                table = name
                break
        return (query_type if query_type in QUERY_TYPES else OTHER), table

    return classify


_pools: WeakKeyDictionary[Engine, tuple[int, int, int]] = WeakKeyDictionary()


def track_pool(engine: AsyncEngine) -> None:
    """Keep the gauges of connections (size, in use, overflow) up to date; several engines of a process add up.

    Raises ``TypeError`` for an engine without a :class:`CountedPool`.
    """
    sync_engine = engine.sync_engine
    first = sync_engine.pool
    if not isinstance(first, CountedPool):
        raise TypeError("the engine's pool must be a CountedPool")
    known = ref(sync_engine)  # the pool must not keep its engine alive

    def update() -> None:
        living = known()
        if living is not None and isinstance(pool := living.pool, QueuePool):
            _pools[living] = (pool.size(), max(0, pool.checkedout()), max(0, pool.overflow()))
            _publish()

    first.on_change = update
    event.listen(sync_engine, "engine_disposed", _forget)
    update()


def _forget(engine: Engine) -> None:
    _pools.pop(engine, None)
    _publish()


def _publish() -> None:
    sizes, out, overflow = (sum(column) for column in zip((0, 0, 0), *_pools.values(), strict=True))
    m.DB_CONNECTION_POOL_SIZE.set(sizes)
    m.DB_CONNECTION_POOL_CHECKED_OUT.set(out)
    m.DB_CONNECTION_POOL_OVERFLOW.set(overflow)
