"""A sliding-window limit on Redis, with a bounded count in this process while Redis is away."""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass
from math import ceil
from time import monotonic

from auto_insurance.infra.redis import Away, RedisClient

_SCRIPT = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local window, limit, record = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - window))
local n = redis.call('ZCARD', KEYS[1])
local allowed = 0
if n < limit then
  allowed = 1
  if record then
    redis.call('ZADD', KEYS[1], string.format('%.0f', now), string.format('%.0f', now) .. ':' .. n)
    redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
    n = n + 1
  end
end
local wait = 0
if n >= limit then
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  wait = tonumber(oldest[2]) + window - now
end
return {allowed, limit - n, string.format('%.0f', wait)}
"""


@dataclass(frozen=True, slots=True)
class RateDecision:
    """Whether a hit is allowed, how many more are, and the seconds until the next one is when none is left."""

    allowed: bool
    remaining: int
    retry_after_s: int


class RateLimiter:
    """At most ``limit`` hits in any ``window_s`` seconds per key. A refused hit is not counted: a wait always helps.

    Keys are hashed, since they hold addresses and account names. Without Redis each process counts for itself, for the
    ``local_keys`` keys used last.
    """

    def __init__(
        self, redis: RedisClient | None = None, *, prefix: str = "ratelimit", local_keys: int = 10_000
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._local_keys = local_keys
        self._local: OrderedDict[str, deque[float]] = OrderedDict()

    async def hit(self, key: str, limit: int, window_s: float) -> RateDecision:
        """Count one hit if it is allowed."""
        return await self._decide(key, limit, window_s, record=True)

    async def peek(self, key: str, limit: int, window_s: float) -> RateDecision:
        """Tell whether a hit would be allowed, without counting it."""
        return await self._decide(key, limit, window_s, record=False)

    async def reset(self, key: str) -> None:
        """Forget the hits of a key."""
        name = self._name(key)
        self._local.pop(name, None)
        if self._redis is not None:
            await self._redis.delete(name)

    async def _decide(self, key: str, limit: int, window_s: float, *, record: bool) -> RateDecision:
        if limit < 1 or window_s <= 0:
            raise ValueError("limit and window_s must be positive")
        name = self._name(key)
        # Counted here too, so that the count goes on when Redis goes away.
        local = self._decide_locally(name, limit, window_s, record=record)
        if self._redis is None:
            return local
        arguments = (str(int(window_s * 1_000_000)), str(limit), "1" if record else "0")
        answer = await self._redis.run(lambda redis: redis.eval(_SCRIPT, 1, name, *arguments))
        if isinstance(answer, Away):
            return local
        allowed, remaining, wait_us = answer
        return RateDecision(bool(int(allowed)), max(0, int(remaining)), _seconds(float(wait_us) / 1_000_000))

    def _decide_locally(self, name: str, limit: int, window_s: float, *, record: bool) -> RateDecision:
        now = monotonic()
        hits = self._local.get(name, deque())
        while hits and hits[0] <= now - window_s:
            hits.popleft()
        allowed = len(hits) < limit
        if allowed and record:
            hits.append(now)
        if hits:
            self._local[name] = hits
            self._local.move_to_end(name)
            while len(self._local) > self._local_keys:
                self._local.popitem(last=False)
        else:
            self._local.pop(name, None)
        wait_s = hits[0] + window_s - now if len(hits) >= limit else 0.0
        return RateDecision(allowed, max(0, limit - len(hits)), _seconds(wait_s))

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _seconds(wait_s: float) -> int:
    return max(1, ceil(wait_s)) if wait_s > 0 else 0
