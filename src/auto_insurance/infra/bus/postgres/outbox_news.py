"""Tells the sequencer that something was published: NOTIFY after the commit. Losing one only means the next poll."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from auto_insurance.infra.bus.postgres.connections import Connections
from auto_insurance.infra.bus.postgres.log import PostgresLog
from auto_insurance.infra.bus.postgres.options import PostgresLogOptions
from auto_insurance.infra.bus.postgres.wakeups import OUTBOX, Wakeups
from auto_insurance.infra.bus.protocol import EventLog


class OutboxNews:
    """One per process, whichever engine runs: the outbox is in PostgreSQL either way.

    On the log in PostgreSQL it shares that log's connections; otherwise it opens one to tell, and one to listen where
    somebody does. Commits close to each other are told together.
    """

    def __init__(self, url: str, log: EventLog, options: PostgresLogOptions | None = None) -> None:
        self._own: Connections | None = None
        if isinstance(log, PostgresLog):
            self._wakeups = log.wakeups
        else:
            small = replace(options or PostgresLogOptions(), pool_size=1)
            self._own = Connections(url, small)
            self._wakeups = Wakeups(self._own, small)

    def written(self) -> None:
        """Say that a transaction with domain events has committed; never waits, never fails."""
        self._wakeups.notify(OUTBOX)

    def subscribe(self) -> asyncio.Event:
        """Return an event that is set whenever somebody has published."""
        return self._wakeups.subscribe([OUTBOX])

    async def close(self) -> None:
        """Close what is not the log's."""
        if self._own is not None:
            await self._wakeups.close()
            await self._own.close()
