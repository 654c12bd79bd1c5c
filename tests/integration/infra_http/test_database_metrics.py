from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import exc as sa
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from auto_insurance.infra import metrics
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.metrics import REGISTRY


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(EngineOptions(url=database_url, pool_size=1, max_overflow=1, pool_timeout_s=0.2))
    metrics.instrument_engine(made, ["trips"], slow_query_s=0.05)
    metrics.track_pool(made)
    yield made
    await made.dispose()


async def test_statements_are_timed_by_kind_and_table(engine: AsyncEngine) -> None:
    before = value("db_query_duration_seconds_count", query_type="select", table="trips")
    slow_before = value("db_slow_queries_total")
    async with engine.connect() as conn:
        await conn.execute(text("SELECT count(*) FROM trips"))
        await conn.execute(text("SELECT pg_sleep(0.06)"))
    assert value("db_query_duration_seconds_count", query_type="select", table="trips") == before + 1
    assert value("db_slow_queries_total") == slow_before + 1


async def test_failing_statements_are_timed_and_hide_their_parameters(engine: AsyncEngine) -> None:
    before = value("db_query_duration_seconds_count", query_type="select", table="other")
    async with engine.connect() as conn:
        with pytest.raises(sa.DBAPIError) as caught:
            await conn.execute(text("SELECT CAST(:name AS int) / 0"), {"name": 4711})
    assert value("db_query_duration_seconds_count", query_type="select", table="other") == before + 1
    assert "4711" not in str(caught.value)


async def test_the_pool_is_watched(engine: AsyncEngine) -> None:
    base = value("db_connection_pool_size"), value("db_connection_pool_overflow")
    out = value("db_connection_pool_checked_out")
    timeouts = value("db_pool_timeouts_total")
    async with engine.connect() as first:
        await first.execute(text("SELECT 1"))
        assert value("db_connection_pool_checked_out") == out + 1
        async with engine.connect() as second:
            await second.execute(text("SELECT 1"))
            assert value("db_connection_pool_checked_out") == out + 2
            assert value("db_connection_pool_overflow") == base[1] + 1
            with pytest.raises(sa.TimeoutError):
                async with engine.connect():
                    pass
            assert value("db_pool_timeouts_total") == timeouts + 1
    assert value("db_connection_pool_checked_out") == out
    assert value("db_connection_pool_overflow") == base[1]
    assert value("db_connection_pool_size") == base[0]
