from __future__ import annotations

import asyncio
import socket

import pytest
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from auto_insurance.infra.metrics import REGISTRY
from auto_insurance.infra.redis import AWAY, Away, RedisClient, create_redis


def errors() -> float:
    return REGISTRY.get_sample_value("redis_errors_total") or 0.0


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{probe.getsockname()[1]}/0"


async def test_values_come_back_and_end(redis: RedisClient) -> None:
    assert await redis.set("a", b"1", ttl_s=0.05) is True
    assert await redis.get("a") == b"1"
    await asyncio.sleep(0.1)
    assert await redis.get("a") is None


async def test_deleting(redis: RedisClient) -> None:
    await redis.set("a", b"1", ttl_s=5)
    assert await redis.delete("a", "b") == 1
    assert await redis.delete() == 0
    await redis.check()


async def test_the_scheme_of_valkey_is_known(redis: RedisClient) -> None:
    kwargs = redis.redis.connection_pool.connection_kwargs
    other = create_redis(f"valkey://{kwargs['host']}:{kwargs['port']}/0")
    assert await other.run(lambda r: r.echo("hi")) == b"hi"
    await other.close()


async def test_away_is_an_answer_not_an_error(nobody: str) -> None:
    client = create_redis(nobody)
    before = errors()
    with structlog.testing.capture_logs() as lines:
        assert await client.get("a") is AWAY
        assert await client.set("a", b"1", ttl_s=5) is AWAY
        assert isinstance(await client.delete("a"), Away)
    assert not AWAY
    assert errors() == before + 3
    assert [line["event"] for line in lines] == ["redis_away"], "told once"
    with pytest.raises((RedisError, OSError)):
        await client.check()
    await client.close()


async def test_it_is_left_alone_for_a_moment_and_then_comes_back(redis: RedisClient) -> None:
    calls = 0

    async def fails(_: Redis) -> None:
        nonlocal calls
        calls += 1
        raise RedisError("no")

    client = RedisClient(redis.redis, pause_s=0.1)
    for _ in range(5):
        await client.run(fails)
    assert calls == 1
    await asyncio.sleep(0.12)
    with structlog.testing.capture_logs() as lines:
        assert await client.run(lambda r: r.echo("x")) == b"x"
    assert lines[0]["event"] == "redis_back"


async def test_a_server_that_hangs_costs_one_time_out(redis: RedisClient) -> None:
    client = RedisClient(redis.redis, timeout_s=0.05)

    async def hangs(_: Redis) -> None:
        await asyncio.sleep(5)

    assert await client.run(hangs) is AWAY


async def test_more_callers_than_connections_wait_for_their_turn(redis: RedisClient) -> None:
    kwargs = redis.redis.connection_pool.connection_kwargs
    client = create_redis(f"redis://{kwargs['host']}:{kwargs['port']}/0", max_connections=2, timeout_s=2.0)
    answers = await asyncio.gather(*(client.run(lambda r: r.echo("x")) for _ in range(50)))
    assert answers == [b"x"] * 50
    await client.close()
