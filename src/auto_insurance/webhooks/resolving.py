"""Names to addresses, in threads of its own.

A look-up can't be cut off, and some name servers take their time: the threads that others need are not lent to it, and
a name that is being looked up is not looked up again beside it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from auto_insurance.webhooks.addresses import one_of_each

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Return a name's addresses, best first. Raises ``OSError``."""
MAX_ADDRESSES = 16


class Resolver:
    """The system's resolver. ``threads`` should not be below the number of names."""

    def __init__(self, threads: int = 32) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="webhook-dns")
        self._flights: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a name. Raises ``OSError``."""
        key = (host, port)
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.get_running_loop().run_in_executor(self._pool, _look_up, host, port)
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)

    def _landed(self, key: tuple[str, int], flight: asyncio.Future[list[str]]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # whoever asked may have given up

    def close(self) -> None:
        """Take no more names; what is under way ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return one_of_each([str(sockaddr[0]) for _, _, _, _, sockaddr in found], MAX_ADDRESSES)
