"""The gauges of the pool are right in the middle of a storm, and at rest after it."""

from __future__ import annotations

import asyncio
import random

from sqlalchemy import exc as sa
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from auto_insurance.infra import metrics
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.metrics import REGISTRY


def _value(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


def _gauges() -> tuple[float, float, float]:
    names = ("db_connection_pool_size", "db_connection_pool_checked_out", "db_connection_pool_overflow")
    size, out, overflow = (_value(name) for name in names)
    return size, out, overflow


async def test_the_gauges_follow_a_storm_of_requests(database_url: str) -> None:
    """Work that ends well, is cut off, loses its connection or waits too long."""
    base, timeouts = _gauges(), _value("db_pool_timeouts_total")
    engine = create_engine(EngineOptions(url=database_url, pool_size=4, max_overflow=3, pool_timeout_s=0.3))
    metrics.track_pool(engine)
    chance, most = random.Random(4), [0.0, 0.0]

    async def use(number: int) -> None:
        await asyncio.sleep(chance.uniform(0, 0.3))
        try:
            async with asyncio.timeout(0.02 if number % 7 == 0 else 5), engine.connect() as conn:
                most[0], most[1] = max(most[0], _gauges()[1]), max(most[1], _gauges()[2])
                kill = "SELECT pg_terminate_backend(pg_backend_pid())"
                await conn.execute(text(kill if number % 11 == 0 else "SELECT pg_sleep(0.05)"))
        except (TimeoutError, sa.SQLAlchemyError):
            return

    await asyncio.gather(*(use(number) for number in range(120)))
    pool = engine.sync_engine.pool
    assert isinstance(pool, QueuePool)
    assert most == [base[1] + 7, base[2] + 3], "full, and not more than full"
    assert _value("db_pool_timeouts_total") > timeouts
    assert _gauges()[0] == base[0] + 4
    assert _gauges()[1:] == base[1:]
    assert pool.checkedout() == 0
    await engine.dispose()
    assert _gauges() == base
