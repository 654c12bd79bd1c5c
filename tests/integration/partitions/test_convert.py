"""An ordinary table becomes a partitioned one under the hands of its writers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import exc as sa
from sqlalchemy import text

from auto_insurance.infra.db import partitions_convert
from auto_insurance.infra.db.partitions_convert import NotConvertible, convert
from auto_insurance.infra.db.uow import Database

OLD = """
CREATE TABLE old_events (
    id serial PRIMARY KEY, driver_id varchar(255), "timestamp" timestamp NOT NULL, speed real,
    data jsonb DEFAULT '{}', kmh real GENERATED ALWAYS AS (speed * 1.609) STORED
)
"""
FILL = (
    "INSERT INTO old_events (driver_id, timestamp, speed) SELECT 'DRV' || n % 9, '2025-01-15'::timestamp"
    " + n * interval '30 minutes', n FROM generate_series(1, 6000) AS n"
)


async def _prepare(db: Database) -> None:
    async with db.begin() as uow:
        for statement in (OLD, "CREATE INDEX ON old_events (driver_id, timestamp DESC)", FILL):
            await uow.conn.exec_driver_sql(statement)


class Writers:
    """Insert, change and delete rows all the time, and know what must be there in the end."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.expected: dict[int, float] = {}
        self.longest_s = 0.0
        self.writes = 0

    async def _once(self, dice: random.Random) -> None:
        started = time.perf_counter()
        async with self._db.begin() as uow:
            put = text(
                "INSERT INTO old_events (driver_id, timestamp, speed) VALUES ('NEW', CAST('2025-03-01' AS timestamp)"
                " + CAST(:days AS int) * interval '1 day', :speed) RETURNING id"
            )
            speed = dice.randrange(10**6)
            made = (await uow.conn.execute(put, {"days": dice.randrange(-9000, 900), "speed": speed})).scalar_one()
            mine = [one for one in self.expected if one % 2 == made % 2]
            gone, changed = (dice.choice(mine), dice.choice(mine)) if len(mine) > 50 else (-1, -1)
            await uow.conn.execute(text("DELETE FROM old_events WHERE id = :id"), {"id": gone})
            move = text("UPDATE old_events SET speed = -1, timestamp = timestamp + interval '45 days' WHERE id = :id")
            await uow.conn.execute(move, {"id": changed})
        self.expected[made] = speed
        self.expected.update({changed: -1} if changed in self.expected else {})
        self.expected.pop(gone, None)
        self.longest_s = max(self.longest_s, time.perf_counter() - started)
        self.writes += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self._db.read() as uow:
            rows = await uow.conn.execute(text("SELECT id, speed FROM old_events"))
            self.expected = {row.id: row.speed for row in rows}
        stop = asyncio.Event()

        async def write() -> None:
            dice = random.Random(7)
            while not stop.is_set():
                try:
                    await self._once(dice)
                except sa.IntegrityError:
                    # Odd dates on the new table: its writers make partitions, as ours do.
                    async with self._db.begin() as uow:
                        months = "generate_series('2000-01-01'::timestamp, '2028-12-01', '1 month') AS m"
                        await uow.conn.execute(
                            text(f"SELECT create_month_partition('old_events', m::date) FROM {months}")
                        )

        task = asyncio.create_task(write())
        try:
            yield
            await asyncio.sleep(0.1)
        finally:
            stop.set()
            await task


async def _rows(db: Database, table: str = "old_events") -> dict[int, float]:
    async with db.read() as uow:
        return {row.id: row.speed for row in await uow.conn.execute(text(f"SELECT id, speed FROM {table}"))}


async def test_no_row_is_lost_and_nobody_waits_for_long(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await _prepare(db)
    monkeypatch.setattr(partitions_convert, "PAGES", 4)
    writers = Writers(db)
    steps: list[str] = []
    async with writers.running():
        done = await convert(db, "old_events", on_step=lambda step, done, total: steps.append(step))
    assert await _rows(db) == writers.expected
    assert (done.kept, done.table) == ("old_events_unpartitioned", "old_events")
    assert list(dict.fromkeys(steps)) == ["mirroring", "copying", "compared", "swapped"]
    assert writers.writes > 20
    assert writers.longest_s < 3.0, "a writer waits for milliseconds; the rest is a busy machine"
    async with db.begin() as uow:
        # The sequence, the defaults, the index and the month's partitions serve the new table.
        assert await uow.conn.scalar(text("SELECT relkind::text FROM pg_class WHERE relname = 'old_events'")) == "p"
        row = (
            "INSERT INTO old_events (timestamp, speed) VALUES ('2025-02-03', 10)"
            " RETURNING tableoid::regclass::text, kmh"
        )
        assert (await uow.conn.execute(text(row))).one() == ("old_events_2025_02", pytest.approx(16.09))
        await uow.conn.exec_driver_sql("DROP TABLE old_events_unpartitioned")
        await uow.conn.exec_driver_sql("INSERT INTO old_events (timestamp) VALUES ('2025-02-03')")
        assert await uow.conn.scalar(text("SELECT create_month_partition('old_events', '2031-01-01')"))


async def test_a_conversion_that_was_cut_off_is_taken_up_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await _prepare(db)
    monkeypatch.setattr(partitions_convert, "PAGES", 8)

    class Cut(Exception):
        pass

    def cut(step: str, done: int, total: int) -> None:
        if step == "copying":
            raise Cut

    with pytest.raises(Cut):
        await convert(db, "old_events", on_step=cut)
    async with db.begin() as uow:
        await uow.conn.exec_driver_sql("DELETE FROM old_events WHERE id % 2 = 0")
        await uow.conn.exec_driver_sql("UPDATE old_events SET speed = 5 WHERE id < 1000")
    with pytest.raises(sa.DBAPIError, match="being converted"):
        async with db.begin() as uow:
            await uow.conn.exec_driver_sql("TRUNCATE old_events")
    before = await _rows(db)
    assert (await convert(db, "old_events")).rows == len(before) == 3000
    assert await _rows(db) == before
    with pytest.raises(NotConvertible, match="partitioned already"):
        await convert(db, "old_events")


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("ALTER TABLE old_events DROP CONSTRAINT old_events_pkey", "no primary key"),
        ("CREATE TABLE other (e int REFERENCES old_events)", "foreign keys: other_e_fkey"),
        ("CREATE VIEW seen AS SELECT id FROM old_events", "views: seen"),
        ("CREATE UNIQUE INDEX u ON old_events (driver_id)", "unique over columns without the one of time: u"),
        ("ALTER TABLE old_events RENAME timestamp TO at", "Name it with --column"),
        ("ALTER TABLE old_events RENAME TO events2", "no such table"),
    ],
)
async def test_what_can_not_be_converted_is_told_before_anything_changes(db: Database, extra: str, said: str) -> None:
    async with db.begin() as uow:
        await uow.conn.exec_driver_sql(OLD)
        await uow.conn.exec_driver_sql(extra)
    with pytest.raises(NotConvertible, match=said):
        await convert(db, "old_events")
    with pytest.raises(NotConvertible, match="small letters"):
        await convert(db, 'x"; DROP')
