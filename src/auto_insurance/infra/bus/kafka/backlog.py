"""How much of each topic some group has still to read: uploads are refused when that grows without end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

import structlog

from auto_insurance.infra.bus.errors import LogFull
from auto_insurance.infra.bus.kafka.topics import Floors, Topics

log = structlog.get_logger(__name__)


class Backlog:
    """Unread records per topic, looked at beside the appends.

    Groups' offsets are in PostgreSQL. While that is away the last look counts, and what was appended since.
    """

    def __init__(self, topics: Topics, floors: Floors, *, limit: int, refresh_s: float) -> None:
        self._topics = topics
        self._floors = floors
        self._limit = limit
        self._refresh_s = refresh_s
        self._unread: Counter[str] = Counter()
        self._refresh_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def admit(self, names: Iterable[str]) -> None:
        """Raise ``LogFull`` if one of the topics is at its limit."""
        wanted = set(names)
        if time.monotonic() >= self._refresh_at and (self._task is None or self._task.done()):
            self._refresh_at = time.monotonic() + self._refresh_s
            self._task = asyncio.create_task(self.refresh(wanted | self._unread.keys()), name="kafka-backlog")
        for name in wanted:
            if self._unread[name] >= self._limit:
                raise LogFull(f"the backlog of {name} is at its limit", retry_after_s=5)

    def any_full(self) -> bool:
        """Return whether any topic takes no more, as of the last look."""
        return any(unread >= self._limit for unread in self._unread.values())

    def added(self, name: str, count: int) -> None:
        """Count what was appended since the last look."""
        self._unread[name] += count

    async def refresh(self, names: Iterable[str]) -> None:
        """Look again; a failure leaves what is known."""
        for name in names:
            try:
                info = await self._topics.info(name)
                needed = await self._floors(name, info.id)
                ends, starts = await self._topics.ends(name), await self._topics.starts(name)
            except Exception as error:
                log.debug("log_backlog_unknown", error=type(error).__name__)
                return
            self._unread[name] = sum(
                end - max(starts[tp], needed.get(tp.partition, 0) if needed else 0) for tp, end in ends.items()
            )

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
