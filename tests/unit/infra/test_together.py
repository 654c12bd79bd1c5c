"""Who asks at the same time is answered by one query, with what was read after they asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from auto_insurance.infra.together import AT_ONCE, Together


class Source:
    """Values that can be looked up when told to."""

    def __init__(self) -> None:
        self.values: dict[int, str] = {1: "one", 2: "two"}
        self.asked: list[list[int]] = []
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def fetch(self, keys: Sequence[int]) -> Mapping[int, str]:
        self.asked.append(list(keys))
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return {key: self.values[key] for key in keys if key in self.values}


async def test_those_of_a_moment_are_one_query() -> None:
    source = Source()
    source.go.set()
    together: Together[int, str] = Together(source.fetch)
    found = await asyncio.gather(*(together.get(key) for key in (1, 2, 3, 1)))
    assert found == ["one", "two", None, "one"]
    assert source.asked == [[1, 2, 3]]


async def test_who_comes_while_a_query_is_under_way_is_in_the_next() -> None:
    source = Source()
    together: Together[int, str] = Together(source.fetch)
    first = asyncio.create_task(together.get(1))
    await asyncio.sleep(0.01)
    later = [asyncio.create_task(together.get(key)) for key in (1, 2)]
    await asyncio.sleep(0.01)
    source.values[1] = "changed"
    source.go.set()
    assert [await first, *[await one for one in later]] == ["changed", "changed", "two"]
    assert source.asked == [[1], [1, 2]], "what was asked before is not given to who asked after"


async def test_an_error_is_everybodys_and_the_next_query_is_a_new_one() -> None:
    source = Source()
    source.error = OSError("away")
    source.go.set()
    together: Together[int, str] = Together(source.fetch)
    found = await asyncio.gather(together.get(1), together.get(2), return_exceptions=True)
    assert [type(one) for one in found] == [OSError, OSError]
    source.error = None
    assert await together.get(1) == "one"


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    source = Source()
    together: Together[int, str] = Together(source.fetch)
    gone, stays = asyncio.create_task(together.get(1)), asyncio.create_task(together.get(1))
    await asyncio.sleep(0.01)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    source.go.set()
    assert await stays == "one"


async def test_a_query_has_a_size() -> None:
    source = Source()
    source.go.set()
    together: Together[int, str] = Together(source.fetch)
    await asyncio.gather(*(together.get(key) for key in range(AT_ONCE + 5)))
    assert [len(keys) for keys in source.asked] == [AT_ONCE, 5]


async def test_a_query_has_no_more_keys_than_it_may() -> None:
    source = Source()
    source.go.set()
    together: Together[int, str] = Together(source.fetch, 2)
    assert await asyncio.gather(*(together.get(key) for key in range(5))) == [None, "one", "two", None, None]
    assert source.asked == [[0, 1], [2, 3], [4]]
