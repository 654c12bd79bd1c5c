"""Who waits for records is woken: within the process at once, across processes by NOTIFY."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress

import asyncpg
import structlog

from auto_insurance.infra.bus.postgres.connections import Connections
from auto_insurance.infra.bus.postgres.options import PostgresLogOptions
from auto_insurance.kernel.errors import Unavailable

log = structlog.get_logger(__name__)
CHANNEL = "event_log"
OUTBOX = "outbox"


class Wakeups:
    """One LISTEN connection and one sender per process; losing either only means waiting for the next poll."""

    def __init__(self, connections: Connections, options: PostgresLogOptions) -> None:
        self._connections = connections
        self._options = options
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._pending: set[str] = set()
        self._sent_at = 0.0
        self._sender: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None

    def subscribe(self, names: Iterable[str]) -> asyncio.Event:
        """Return an event that is set whenever one of the names (topics, groups) has news."""
        event = asyncio.Event()
        for name in names:
            self._waiting.setdefault(name, set()).add(event)
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="event-log-listen")
        return event

    def unsubscribe(self, event: asyncio.Event) -> None:
        """Stop setting the event."""
        for events in self._waiting.values():
            events.discard(event)

    def notify(self, name: str) -> None:
        """Tell everybody who waits for the name; never waits, never fails."""
        self._wake(name)
        self._pending.add(name)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send(), name="event-log-notify")

    async def close(self) -> None:
        """Send what is pending, stop listening."""
        if self._sender is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._sender, self._options.connect_timeout_s)
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener

    def _wake(self, name: str) -> None:
        for event in self._waiting.get(name, ()):
            event.set()

    async def _send(self) -> None:
        while self._pending:
            pause = self._sent_at + self._options.notify_interval_s - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            names, self._pending = sorted(self._pending), set()
            self._sent_at = time.monotonic()
            try:
                async with self._connections.use() as conn:
                    await conn.execute("SELECT pg_notify($1, name) FROM unnest($2::text[]) AS name", CHANNEL, names)
            except (Unavailable, asyncpg.PostgresError) as error:
                log.debug("event_log_notify_failed", error=type(error).__name__)

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            try:
                await self._listen_once()
                pause = 0.1
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.debug("event_log_listen_failed", error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def _listen_once(self) -> None:
        conn = await self._connections.connect()
        lost = asyncio.Event()
        conn.add_termination_listener(lambda _: lost.set())
        try:
            await conn.add_listener(CHANNEL, lambda *args: self._wake(str(args[3])))
            for name in self._waiting:
                self._wake(name)
            await lost.wait()
        finally:
            conn.terminate()
