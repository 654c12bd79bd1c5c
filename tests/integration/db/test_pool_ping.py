"""A connection that rested is asked whether it lives; one that was used a moment ago is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import exc as sa
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from auto_insurance.infra.db import engine as engines
from auto_insurance.infra.db.engine import EngineOptions, create_engine


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine with two connections."""
    made = create_engine(EngineOptions(url=database_url, pool_size=2, max_overflow=0))
    yield made
    await made.dispose()


async def _pid(engine: AsyncEngine) -> int:
    async with engine.connect() as conn:
        return int((await conn.execute(text("SELECT pg_backend_pid()"))).scalar_one())


async def _end_it(engine: AsyncEngine) -> int:
    """End the pool's one connection from outside of it; return its number."""
    ended = await _pid(engine)
    other = create_engine(EngineOptions(url=engine.url.render_as_string(hide_password=False)))
    async with other.connect() as conn:
        await conn.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": ended})
    await other.dispose()
    return ended


async def test_one_that_rested_and_is_dead_is_replaced_unseen(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = await _end_it(engine)
    monkeypatch.setattr(engines, "RESTED_S", 0.0)
    assert await _pid(engine) != ended


async def test_one_used_a_moment_ago_is_not_asked(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    ping = engine.sync_engine.dialect.do_ping

    def counted(connection: Any) -> bool:
        asked.append(connection)
        return bool(ping(connection))

    monkeypatch.setattr(engine.sync_engine.dialect, "do_ping", counted)
    monkeypatch.setattr(engines, "RESTED_S", 3600.0)
    first = await _pid(engine)
    assert [await _pid(engine) for _ in range(3)] == [first] * 3
    assert asked == []
    monkeypatch.setattr(engines, "RESTED_S", 0.0)
    assert await _pid(engine) == first
    assert len(asked) == 1


async def test_a_dead_one_that_was_just_used_fails_once(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "RESTED_S", 3600.0)
    ended = await _end_it(engine)
    with pytest.raises(sa.DBAPIError):
        await _pid(engine)
    assert await _pid(engine) != ended
