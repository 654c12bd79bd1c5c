from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.infra.redis import RedisClient, create_redis


@pytest.fixture(params=["redis", "alone", "away"])
async def limiter(request: pytest.FixtureRequest, redis: RedisClient) -> AsyncIterator[RateLimiter]:
    if request.param == "redis":
        yield RateLimiter(redis)
    elif request.param == "alone":
        yield RateLimiter()
    else:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            client = create_redis(f"redis://127.0.0.1:{probe.getsockname()[1]}/0")
        yield RateLimiter(client)
        await client.close()


async def test_so_many_and_no_more(limiter: RateLimiter) -> None:
    decisions = [await limiter.hit("a", 3, 60) for _ in range(5)]
    assert [d.allowed for d in decisions] == [True, True, True, False, False]
    assert [d.remaining for d in decisions] == [2, 1, 0, 0, 0]
    assert 58 <= decisions[-1].retry_after_s <= 60
    assert decisions[0].retry_after_s == 0
    assert (await limiter.hit("b", 3, 60)).allowed, "each key for itself"


async def test_peeking_counts_nothing(limiter: RateLimiter) -> None:
    for _ in range(5):
        assert (await limiter.peek("a", 1, 60)).allowed
    await limiter.hit("a", 1, 60)
    assert not (await limiter.peek("a", 1, 60)).allowed


async def test_the_window_slides(limiter: RateLimiter) -> None:
    await limiter.hit("a", 2, 0.4)
    await asyncio.sleep(0.25)
    await limiter.hit("a", 2, 0.4)
    assert not (await limiter.hit("a", 2, 0.4)).allowed
    await asyncio.sleep(0.2)
    assert (await limiter.hit("a", 2, 0.4)).allowed, "the first hit is out of the window"
    assert not (await limiter.hit("a", 2, 0.4)).allowed, "the second is not"


async def test_reset_forgets(limiter: RateLimiter) -> None:
    await limiter.hit("a", 1, 60)
    await limiter.reset("a")
    assert (await limiter.hit("a", 1, 60)).allowed


async def test_many_at_once_do_not_slip_through(limiter: RateLimiter) -> None:
    decisions = await asyncio.gather(*(limiter.hit("a", 5, 60) for _ in range(40)))
    assert sum(d.allowed for d in decisions) == 5


async def test_two_processes_share_the_count(redis: RedisClient) -> None:
    one, two = RateLimiter(redis), RateLimiter(redis)
    assert (await one.hit("a", 1, 60)).allowed
    assert not (await two.hit("a", 1, 60)).allowed


async def test_keys_are_not_stored_in_clear_and_end_by_themselves(redis: RedisClient) -> None:
    await RateLimiter(redis).hit("login:1.2.3.4:ann@example.org", 5, 60)
    keys = await redis.run(lambda r: r.keys("*"))
    assert isinstance(keys, list)
    assert len(keys) == 1
    assert b"ann" not in keys[0]
    ttl = await redis.run(lambda r: r.pttl(keys[0]))
    assert isinstance(ttl, int)
    assert 0 < ttl <= 60_000


async def test_the_count_goes_on_when_redis_goes_away(redis: RedisClient) -> None:
    client = RedisClient(redis.redis, pause_s=60)
    limiter = RateLimiter(client)
    for _ in range(3):
        await limiter.hit("a", 3, 60)

    async def fails(_: object) -> None:
        raise OSError

    await client.run(fails)
    assert not (await limiter.hit("a", 3, 60)).allowed


async def test_memory_is_bounded() -> None:
    limiter = RateLimiter(local_keys=10)
    for n in range(100):
        await limiter.hit(str(n), 5, 60)
    assert len(limiter._local) == 10


@pytest.mark.parametrize(("limit", "window_s"), [(0, 60), (1, 0)])
async def test_nonsense_is_refused(limit: int, window_s: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        await RateLimiter().hit("a", limit, window_s)
