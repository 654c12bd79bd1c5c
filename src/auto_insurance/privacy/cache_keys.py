"""A driver's keys in Redis: every key that names the driver or one of its devices."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection

from auto_insurance.infra.redis import Away, RedisClient
from auto_insurance.privacy.errors import ErasureIncomplete

SCAN_COUNT = 1_000
MAX_TURNS = 100_000


class CacheEraser:
    """Finds and deletes keys in bounded steps. A key may hold an id between any two signs that ids don't have."""

    def __init__(self, redis: RedisClient | None) -> None:
        self._redis = redis

    async def count(self, names: Collection[str]) -> int | None:
        """Return how many keys name one of ``names``; None if Redis does not answer."""
        try:
            return sum([len(keys) async for keys in self._found(names)])
        except ErasureIncomplete:
            return None

    async def erase(self, names: Collection[str]) -> int:
        """Delete the keys that name one of ``names``. Raises ``ErasureIncomplete`` while Redis does not answer."""
        gone = 0
        async for keys in self._found(names):
            if self._redis is not None and keys:
                answer = await self._redis.delete(*keys)
                if isinstance(answer, Away):
                    raise ErasureIncomplete("Redis did not answer.")
                gone += answer
        return gone

    async def _found(self, names: Collection[str]) -> AsyncIterator[list[str]]:
        if self._redis is None or not names:
            return
        wanted = re.compile(rf"(?<![\w.-])({'|'.join(re.escape(name) for name in sorted(names))})(?![\w.-])")
        cursor = 0
        for _ in range(MAX_TURNS):
            at = cursor
            answer = await self._redis.run(lambda redis, at=at: redis.scan(at, count=SCAN_COUNT))  # type: ignore[misc]
            if isinstance(answer, Away):
                raise ErasureIncomplete("Redis did not answer.")
            cursor, keys = int(answer[0]), answer[1]
            texts = [key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key) for key in keys]
            yield [key for key in texts if wanted.search(key)]
            if cursor == 0:
                return
        raise ErasureIncomplete("Redis holds more keys than can be looked through.")
