"""Redis or Valkey. When it is away the product is slower, not broken: callers get ``AWAY``, never an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final, TypeVar, cast

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from auto_insurance.infra import metrics

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Away:
    """Redis did not answer."""

    def __bool__(self) -> bool:
        return False


AWAY: Final = Away()


class RedisClient:
    """Commands with a time-out. After a failure it is left alone for ``pause_s``, so that not every call waits."""

    def __init__(self, redis: Redis, *, timeout_s: float = 1.0, pause_s: float = 1.0) -> None:
        self.redis = redis
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._away_until = 0.0
        self._was_away = False

    async def run(self, command: Callable[[Redis], Awaitable[T]]) -> T | Away:
        """Return what ``command`` gives, or ``AWAY``: ``value = await client.run(lambda r: r.get(key))``."""
        if monotonic() < self._away_until:
            metrics.REDIS_ERRORS_TOTAL.inc()
            return AWAY
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await command(self.redis)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
            return AWAY
        if self._was_away:
            self._was_away = False
            log.info("redis_back")
        return answer

    def _failed(self, error: BaseException) -> None:
        metrics.REDIS_ERRORS_TOTAL.inc()
        self._away_until = monotonic() + self._pause_s
        if not self._was_away:
            self._was_away = True
            log.warning("redis_away", error=type(error).__name__)

    async def get(self, key: str) -> bytes | Away | None:
        """Return the value of a key, ``None`` if it has none."""
        value: bytes | Away | None = await self.run(lambda redis: cast("Awaitable[bytes | None]", redis.get(key)))
        return value

    async def set(self, key: str, value: bytes, ttl_s: float) -> bool | Away:
        """Set a key for ``ttl_s`` seconds; every key of ours ends by itself."""
        return bool(await self.run(lambda redis: redis.set(key, value, px=max(1, int(ttl_s * 1000))))) or AWAY

    async def delete(self, *keys: str) -> int | Away:
        """Delete keys; returns how many there were."""
        return await self.run(lambda redis: redis.delete(*keys)) if keys else 0

    async def check(self) -> None:
        """Raise if Redis does not answer now; for the health check, which must not be told ``AWAY`` from memory."""
        async with asyncio.timeout(self._timeout_s):
            await self.redis.ping()

    async def close(self) -> None:
        """Close all connections."""
        await self.redis.aclose()


def create_redis(url: str, max_connections: int = 50, *, timeout_s: float = 1.0) -> RedisClient:
    """Return a client for ``redis://``, ``rediss://``, ``valkey://`` or ``unix://``. Connects when first used."""
    scheme, separator, rest = url.partition("://")
    pool = BlockingConnectionPool.from_url(
        f"{scheme.replace('valkey', 'redis')}{separator}{rest}",
        max_connections=max_connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        health_check_interval=30,
        # A connection that the server closed meanwhile is replaced once, at once.
        retry=Retry(NoBackoff(), 1),
    )
    return RedisClient(Redis.from_pool(pool), timeout_s=timeout_s)
