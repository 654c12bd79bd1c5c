"""The unit of work: the one place that commits.

One transaction per request, job or batch. Domain events go to the outbox inside the transaction; effects on other
systems (purge, publish) run after the commit and never before it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import asyncpg
import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from auto_insurance.infra import acting, tracing
from auto_insurance.infra.db.outbox import append_to_outbox
from auto_insurance.infra.db.touched import Aspect, Touched
from auto_insurance.kernel.events import Envelope

AfterCommit = Callable[[], Awaitable[None]]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Note:
    """What a service says of its change, for the record of whoever acts: see :meth:`UnitOfWork.note`."""

    kind: str
    ident: str
    details: Mapping[str, object] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict)


class UnitOfWork:
    """A transaction in progress. Repositories take it; only :class:`Database` makes and ends it."""

    def __init__(self, conn: AsyncConnection) -> None:
        self.conn = conn
        self._events: list[tuple[str, Envelope]] = []
        self._after: list[AfterCommit] = []
        self._touched = Touched()
        self.published = False
        """Whether events of this transaction are in the outbox."""
        self.notes: list[Note] = []

    def publish(self, topic: str, event: Envelope) -> None:
        """Write a domain event to the outbox when this transaction commits."""
        trace = tracing.current()
        if trace is not None:
            event = msgspec.structs.replace(event, traceparent=trace)
        self._events.append((topic, event))

    def after_commit(self, effect: AfterCommit) -> None:
        """Run ``effect`` once the transaction has committed; its failure is logged, not raised."""
        self._after.append(effect)

    def touched(self, aspect: Aspect, driver_ids: Iterable[str]) -> None:
        """Note whose facts this transaction changes: answers that are kept of them are dropped after the commit."""
        self._touched.add(aspect, driver_ids)

    def touched_everything(self) -> None:
        """Note that this transaction changes answers about everybody."""
        self._touched.everything()

    @property
    def marks(self) -> Set[str]:
        """What was touched so far."""
        return self._touched.marks

    def note(self, kind: str, ident: object, *, private: Mapping[str, str] | None = None, **details: object) -> None:
        """Say what is changed, for the record of whoever acts: the first note names the record's subject.

        ``details`` are read by auditors for ever: names of fields and values that tell nothing of a person. What does,
        such as free text, goes into ``private``, which erasure makes unreadable.
        """
        self.notes.append(Note(kind, str(ident), details, private or {}))

    async def driver(self) -> asyncpg.Connection[Any]:
        """Return the asyncpg connection under this transaction, for COPY."""
        raw = await self.conn.get_raw_connection()
        return cast("asyncpg.Connection[Any]", raw.driver_connection)

    async def flush_events(self) -> None:
        """Write the published events to the outbox now (the commit does it by itself)."""
        if self._events:
            events, self._events = self._events, []
            self.published = True
            await append_to_outbox(self.conn, events)

    async def run_effects(self) -> None:
        """Run what waits for the commit."""
        for effect in self._after:
            try:
                await effect()
            except Exception:
                log.exception("after_commit_effect_failed")


class Database:
    """Gives out units of work on one engine.

    ``on_published`` is told of each commit that wrote to the outbox, ``on_touched`` of what a commit changed.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.on_published: Callable[[], None] | None = None
        self.on_touched: Callable[[Set[str]], Awaitable[None]] | None = None

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """Open a transaction: commits on leaving the block, rolls back on any exception.

        Within an act (``infra.acting``) it leaves the act's record, in the same transaction.
        """
        act = acting.current()
        marks: Set[str] = frozenset()
        try:
            async with self.engine.connect() as conn:
                uow = UnitOfWork(conn)
                async with conn.begin():
                    yield uow
                    await uow.flush_events()
                    if act is not None:
                        await act.recorder(uow, act)
                marks = uow.marks
        finally:
            # Whatever comes between commit and here, a caller who gave up included: what changed must be told.
            if marks:
                await self._tell(marks)
        if uow.published and self.on_published is not None:
            self.on_published()
        await uow.run_effects()

    async def _tell(self, marks: Set[str]) -> None:
        if self.on_touched is not None:
            try:
                await self.on_touched(marks)
            except Exception:
                log.exception("touched_not_told")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[UnitOfWork]:
        """Open a read-only transaction; a write inside it fails."""
        async with self.engine.connect() as conn:
            await conn.execution_options(postgresql_readonly=True)
            async with conn.begin():
                yield UnitOfWork(conn)

    async def ping(self) -> None:
        """Ask the database for an answer."""
        async with self.engine.connect() as conn:
            await conn.exec_driver_sql("SELECT 1")

    async def dispose(self) -> None:
        """Close the pool."""
        await self.engine.dispose()
