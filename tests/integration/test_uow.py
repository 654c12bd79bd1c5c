from __future__ import annotations

import pytest
from sqlalchemy import text

from auto_insurance.infra.db.uow import Database


async def test_commits_on_success_and_rolls_back_on_error(db: Database) -> None:
    async with db.begin() as uow:
        await uow.conn.execute(text("CREATE TABLE t (n int)"))
        await uow.conn.execute(text("INSERT INTO t VALUES (1)"))
    with pytest.raises(RuntimeError):
        async with db.begin() as uow:
            await uow.conn.execute(text("INSERT INTO t VALUES (2)"))
            raise RuntimeError
    async with db.read() as uow:
        assert (await uow.conn.execute(text("SELECT array_agg(n) FROM t"))).scalar_one() == [1]


async def test_effects_run_after_the_commit_and_only_then(db: Database) -> None:
    ran: list[str] = []

    async def effect() -> None:
        ran.append("effect")

    async with db.begin() as uow:
        uow.after_commit(effect)
        assert ran == []
    assert ran == ["effect"]
    with pytest.raises(RuntimeError):
        async with db.begin() as uow:
            uow.after_commit(effect)
            raise RuntimeError
    assert ran == ["effect"]


async def test_read_refuses_writes(db: Database) -> None:
    async with db.read() as uow:
        with pytest.raises(Exception, match="read-only"):
            await uow.conn.execute(text("CREATE TABLE t (n int)"))
