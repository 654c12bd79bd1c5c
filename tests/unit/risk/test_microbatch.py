from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from auto_insurance.risk.microbatch import BatchOptions, MicroBatcher, Overloaded


def doubling(calls: list[list[int]]) -> MicroBatcher[int, int]:
    def call(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        return [2 * item for item in items]

    return MicroBatcher(call, BatchOptions(max_batch=4, max_wait_s=0.01, max_waiting=8))


async def test_requests_of_a_moment_are_one_call() -> None:
    calls: list[list[int]] = []
    batcher = doubling(calls)
    assert await asyncio.gather(*(batcher.submit(n) for n in range(3))) == [0, 2, 4]
    assert calls == [[0, 1, 2]]
    assert len(batcher) == 0


async def test_a_full_batch_does_not_wait_and_the_rest_goes_on() -> None:
    calls: list[list[int]] = []
    batcher = doubling(calls)
    assert await asyncio.gather(*(batcher.submit(n) for n in range(7))) == [2 * n for n in range(7)]
    assert calls == [[0, 1, 2, 3], [4, 5, 6]]


async def test_one_who_gives_up_takes_only_its_own_out() -> None:
    calls: list[list[int]] = []
    batcher = doubling(calls)
    waiting = [asyncio.create_task(batcher.submit(n)) for n in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    assert await waiting[0] == 0
    assert await waiting[2] == 4
    assert calls == [[0, 2]]
    with pytest.raises(asyncio.CancelledError):
        await waiting[1]


async def test_all_gone_is_no_call() -> None:
    calls: list[list[int]] = []
    batcher = doubling(calls)
    task = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0.03)
    assert calls == []
    assert await batcher.submit(5) == 10


async def test_more_than_can_wait_is_refused_at_once() -> None:
    batcher: MicroBatcher[int, int] = MicroBatcher(list, BatchOptions(max_batch=100, max_wait_s=0.01, max_waiting=2))
    results = await asyncio.gather(*(batcher.submit(n) for n in range(3)), return_exceptions=True)
    assert results[:2] == [0, 1]
    assert isinstance(results[2], Overloaded)
    assert results[2].retry_after_s == 1


async def test_a_failing_call_fails_its_batch_only() -> None:
    def call(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise ValueError("no zero")
        return list(items)

    batcher: MicroBatcher[int, int] = MicroBatcher(call, BatchOptions(max_batch=2, max_wait_s=0.01))
    results = await asyncio.gather(*(batcher.submit(n) for n in range(4)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError, int, int]
