"""Sends uploads when they are due, whether or not the answers keep up; waiting counts as the system's own time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.client import Connection, check
from benchmarks.results import Wrong

CONNECTIONS = 64
TICK_S = 0.002
RETRY_S = 1.0
ANSWER_S = 60.0


@dataclass(slots=True)
class Sent:
    """What came of it. Latencies run from the instant at which an upload was due."""

    due_s: list[float] = field(default_factory=list)
    latency_s: list[float] = field(default_factory=list)
    refused: int = 0
    """Answers of 503; such an upload is sent again, as a device does."""
    waited: int = 0
    """Uploads that were due when no connection was free."""


class OpenLoop:
    """Messages with the seconds after the start at which each is due, in that order."""

    def __init__(self, port: int, messages: Sequence[tuple[float, bytes]]) -> None:
        self._port = port
        self._messages = messages
        self._free: deque[Connection] = deque()  # first in, first out: none stays idle until the server closes it
        self._opened: list[Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._queue: deque[tuple[float, bytes]] = deque()
        self._flying: dict[Connection, tuple[float, bytes]] = {}
        self._wrong: Wrong | None = None
        self._started = 0.0
        self.sent = Sent()

    async def connect(self) -> None:
        """Open the connections."""
        await asyncio.gather(*(self._open() for _ in range(CONNECTIONS)))

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self._done), "127.0.0.1", self._port)
        self._opened.append(connection)
        self._free.append(connection)

    async def run(self, started: float) -> Sent:
        """Send all; ``started`` is the instant (of ``perf_counter``) from which they are due. Raises ``Wrong``."""
        self._started = started
        place, progress = 0, time.perf_counter()
        try:
            while place < len(self._messages) or self._queue or self._flying:
                now = time.perf_counter()
                while place < len(self._messages) and self._messages[place][0] <= now - started:
                    self.sent.waited += not self._free
                    self._queue.append(self._messages[place])
                    place += 1
                self._send()
                if self._wrong is not None:
                    raise self._wrong
                if self._free:
                    progress = now
                if now - progress > ANSWER_S:
                    raise Wrong(f"no connection came free within {ANSWER_S:g} s")
                await asyncio.sleep(TICK_S)
        finally:
            self._flying = {}
            for task in self._opening:
                task.cancel()
            for connection in self._opened:
                if connection.transport is not None:
                    connection.transport.close()
        return self.sent

    def _send(self) -> None:
        while self._queue and self._free:
            connection = self._free.popleft()
            if connection.lost or connection.transport is None or connection.transport.is_closing():
                task = asyncio.ensure_future(self._open())  # the server closed it while it was idle
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
                continue
            item = self._queue.popleft()
            self._flying[connection] = item
            connection.send(item[1])

    def _done(self, connection: Connection, status: int, answer: bytes) -> None:
        item = self._flying.pop(connection, None)
        if item is None:
            return
        if not connection.lost:
            self._free.append(connection)
        if status == 503:
            self.sent.refused += 1
            asyncio.get_running_loop().call_later(RETRY_S, self._queue.append, item)
            return
        try:
            check(status, answer, 202)
        except Wrong as wrong:
            self._wrong = wrong
            return
        self.sent.due_s.append(item[0])
        self.sent.latency_s.append(time.perf_counter() - self._started - item[0])
        self._send()
