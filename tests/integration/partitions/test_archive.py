"""Months that leave, and months that stay."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sqlalchemy import text

from auto_insurance.infra.db.partitions import Month, MonthArchived, create_month, ensure_months, month_of
from auto_insurance.infra.db.partitions_admin import PartitionsBusy, maintenance
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from auto_insurance.telematics import archive_files, partitions
from auto_insurance.telematics.archive import Archiver
from auto_insurance.telematics.archive_reads import ArchiveReader
from auto_insurance.telematics.archive_restore import restore
from auto_insurance.telematics.archive_steps import ArchiveOptions
from auto_insurance.telematics.errors import ArchiveDamaged, ArchiveFailed, MonthRefused
from tests.integration.partitions.conftest import (
    MONTH,
    Mortals,
    arrived_lately,
    attached,
    content,
    fill,
    folders,
    status,
)


async def test_a_month_leaves_and_comes_back_as_it_was(db: Database, options: ArchiveOptions) -> None:
    await fill(db)
    before = await content(db)
    steps: list[str] = []
    archiver = Archiver(db, options)
    outcome = await archiver.archive(MONTH, on_step=lambda step, done, total: steps.append(step))
    assert (outcome.result, outcome.rows, outcome.files) == ("archived", 2000, 1)
    assert list(dict.fromkeys(steps)) == ["writing", "named", "written", "closed", "detached", "verified", "dropped"]
    assert (await content(db)).rows == 0
    assert not await attached(db)
    assert await status(db) == "archived"
    assert (await archiver.archive(MONTH)).result == "archived", "again is no error"
    with pytest.raises(MonthArchived, match="partitions restore"):
        await create_month(db, partitions.TABLE, MONTH)

    restored = await restore(db, options, MONTH)
    assert (restored.result, restored.rows) == ("restored", 2000)
    assert await content(db) == before
    assert await attached(db)
    assert (await restore(db, options, MONTH)).result == "online"
    assert (await archiver.archive(MONTH)).reason.startswith("restored"), "it was asked for, so it stays a while"
    assert (await archiver.archive(MONTH, force=True)).result == "archived"
    assert len(folders(options)) == 1, "the files of the first time are gone"


async def test_what_a_worker_meets(db: Database, options: ArchiveOptions) -> None:
    await fill(db)
    await Archiver(db, options).archive(MONTH)
    times = np.array([clock.to_us(MONTH.start), clock.to_us(clock.now()), clock.to_us(MONTH.end)])
    async with db.begin() as uow:
        assert await partitions.archived_months(uow) == {MONTH}
        refused = await partitions.claim(uow, times)
        assert refused is not None
        assert refused.tolist() == [True, False, False]
        assert await partitions.claim(uow, times[1:]) is None
        with pytest.raises(MonthArchived):
            await ensure_months(uow, partitions.TABLE, [MONTH])
    await restore(db, options, MONTH)
    async with db.begin() as uow:
        assert await partitions.claim(uow, times) is None
        assert await partitions.archived_months(uow) == frozenset()


async def test_files_are_sorted_pruned_and_described(db: Database, options: ArchiveOptions) -> None:
    await fill(db)
    await Archiver(db, replace(options, part_rows=1)).archive(MONTH)
    (folder,) = (options.folder / partitions.TABLE).iterdir()
    manifest = archive_files.verify(folder, None)
    assert (manifest.rows, manifest.month, manifest.table) == (2000, "2024-02", "telematics_events")
    assert manifest.last_arrival == MONTH.end + timedelta(microseconds=2000)
    whole = pl.read_parquet([folder / file.name for file in manifest.files])
    keys = whole.select("driver_id", "timestamp").rows()
    assert keys == sorted(keys)
    async with db.read() as uow:
        reader = ArchiveReader(options)
        start, end = MONTH.start + timedelta(hours=1), MONTH.start + timedelta(hours=9)
        mine = await reader.events(uow, "DRV003", start, end)
        assert set(mine["driver_id"]) == {"DRV003"}
        assert mine["timestamp"].is_sorted()
        assert len(mine) == len(
            whole.filter((pl.col("driver_id") == "DRV003") & pl.col("timestamp").is_between(start, end))
        )
        assert (await reader.events(uow, "NOBODY", start, end)).is_empty()
        assert (await reader.events(uow, "DRV003", start.replace(year=2023), start.replace(year=2023))).is_empty()
        path = await reader.path(uow, "DRV003", "dev-3", start, end, 10)
        assert len(path) == 10
        assert [point.t_us for point in path] == sorted(point.t_us for point in path)


STEPS = ("writing", "named", "written", "closed", "detached", "verified", "dropped")


async def test_a_process_killed_between_any_two_steps_loses_nothing(
    db: Database, database_url: str, options: ArchiveOptions, mortals: Mortals
) -> None:
    await fill(db)
    before = await content(db)
    seen: list[str] = []
    for step in STEPS:
        seen = mortals.killed_at(step, "archive", database_url, options)
        assert seen[-1] == step
        if await attached(db):
            assert await content(db) == before
        else:
            table = "telematics_events_2024_02"
            assert step == "dropped" or await content(db, table) == before
    assert "written" not in seen, "the last attempts went on where the ones before had stopped"
    assert await status(db) == "archived"
    assert len(folders(options)) == 1
    for step in ("loading", "loaded"):
        assert mortals.killed_at(step, "restore", database_url, options)[-1] == step
        assert await status(db) == "restoring"
    assert (await restore(db, options, MONTH)).result == "restored"
    assert await content(db) == before


async def test_a_detachment_cut_off_in_the_middle_is_finished(
    db: Database, database_url: str, options: ArchiveOptions, mortals: Mortals
) -> None:
    await fill(db)
    before = await content(db)
    pending = text("SELECT count(*) FROM month_partitions('telematics_events') WHERE pending")
    async with db.read() as reading:
        await reading.conn.execute(text("SELECT count(*) FROM telematics_events"))  # DETACH waits for such readers
        leaving = asyncio.create_task(Archiver(db, options).archive(MONTH))
        async with asyncio.timeout(20), db.engine.connect() as watching:
            while not await watching.scalar(pending):
                await watching.rollback()
                await asyncio.sleep(0.02)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert await status(db) == "closing"
    assert (await restore(db, options, MONTH)).result == "restored", "back online instead of on and out"
    assert await content(db) == before
    assert await status(db) is None
    assert (await Archiver(db, options).archive(MONTH)).result == "archived"


@pytest.mark.parametrize("step", ["written", "detached"])
async def test_an_event_that_arrives_while_the_month_leaves_keeps_it(
    db: Database, database_url: str, options: ArchiveOptions, mortals: Mortals, step: str
) -> None:
    await fill(db)
    mortals.killed_at(step, "archive", database_url, options)
    table = partitions.TABLE if step == "written" else "telematics_events_2024_02"
    async with db.begin() as uow:
        late = f"INSERT INTO {table} SELECT device_id, timestamp, 'late', driver_id, now() FROM {table} LIMIT 1"
        late = late.replace(
            "now()",
            "now(), latitude, longitude, speed_mph, acceleration_g, lateral_acceleration_g,"
            " heading_deg, altitude_m, gps_accuracy_m, event_type, speed_limit_mph, phone_in_use, quality",
        )
        await uow.conn.exec_driver_sql(late)
    outcome = await Archiver(db, options).archive(MONTH)
    assert (outcome.result, outcome.reason[:14]) == ("left", "events arrived")
    assert (await content(db)).rows == 2001
    assert await status(db) is None
    assert not folders(options)
    assert (await Archiver(db, options).archive(MONTH, force=True)).rows == 2001


async def test_events_that_are_flagged_while_the_month_leaves_are_written_anew(
    db: Database, database_url: str, options: ArchiveOptions, mortals: Mortals
) -> None:
    await fill(db)
    mortals.killed_at("written", "archive", database_url, options)
    async with db.begin() as uow:
        await uow.conn.exec_driver_sql("UPDATE telematics_events SET quality = quality | 64 WHERE driver_id = 'DRV001'")
    flagged = await content(db)
    assert (await Archiver(db, options).archive(MONTH)).result == "archived"
    await restore(db, options, MONTH)
    assert await content(db) == flagged


async def test_what_stays(db: Database, options: ArchiveOptions) -> None:
    archiver = Archiver(db, options)
    await fill(db, arrived=arrived_lately())
    assert (await archiver.archive(MONTH)).reason.startswith("events arrived")
    with pytest.raises(MonthRefused, match="too recent"):
        await archiver.archive(month_of(clock.now()))
    with pytest.raises(MonthRefused, match="no partition"):
        await archiver.archive(Month(1999, 1))
    with pytest.raises(MonthRefused, match="not archived"):
        await restore(db, options, MONTH)
    async with maintenance(db, partitions.TABLE):
        with pytest.raises(PartitionsBusy):
            await archiver.archive(MONTH)


async def test_retention_takes_what_is_old_and_quiet(db: Database, options: ArchiveOptions) -> None:
    now = month_of(clock.now())
    old, kept, empty, reached = now.plus(-13), now.plus(-12), Month(1990, 1), Month(2001, 5)
    for month in (old, kept):
        await fill(db, month, last=20, arrived=month.start)
    await fill(db, reached, last=20, arrived=arrived_lately())
    async with db.begin() as uow:
        await ensure_months(uow, partitions.TABLE, [empty, Month(2099, 12)])
    archiver = Archiver(db, options)
    assert await archiver.due() == [empty, reached, old]
    outcomes = await archiver.retain()
    assert [(one.month, one.result) for one in outcomes] == [(empty, "dropped"), (reached, "left"), (old, "archived")]
    assert await archiver.due() == [reached]
    assert len(folders(options)) == 1, "an empty month leaves no file"
    assert await Archiver(db, replace(options, retention_months=0)).due() == []


async def test_a_full_disk_leaves_the_database_as_it_was(
    db: Database, options: ArchiveOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(db)
    before = await content(db)
    written = archive_files._write

    def full(path: Path, data: bytes) -> None:
        if path.name == "part-00000.parquet":
            raise OSError(errno.ENOSPC, "No space left on device")
        written(path, data)

    monkeypatch.setattr(archive_files, "_write", full)
    with pytest.raises(ArchiveFailed, match=r"No space left.*ARCHIVE_DIR"):
        await Archiver(db, options).archive(MONTH)
    assert await content(db) == before
    assert await status(db) is None
    assert not folders(options)
    assert await Archiver(db, options).retain() == [], "the scheduler logs it and goes on"
    monkeypatch.undo()
    assert (await Archiver(db, options).archive(MONTH)).result == "archived"


async def test_damaged_files_are_neither_trusted_nor_loaded(
    db: Database, database_url: str, options: ArchiveOptions, mortals: Mortals
) -> None:
    await fill(db)
    before = await content(db)
    mortals.killed_at("detached", "archive", database_url, options)
    _spoil(options)
    with pytest.raises(ArchiveDamaged):
        await Archiver(db, options).archive(MONTH)
    assert await content(db) == before, "back online"
    await Archiver(db, options).archive(MONTH)
    _spoil(options)
    with pytest.raises(ArchiveDamaged, match="not as it was written"):
        await restore(db, options, MONTH)
    assert await status(db) == "archived"


def _spoil(options: ArchiveOptions) -> None:
    path = next(options.folder.glob("*/*/part-00000.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


async def test_dropping_asks_for_the_word(db: Database, options: ArchiveOptions) -> None:
    await fill(db)
    archiver = Archiver(db, options)
    with pytest.raises(MonthRefused, match="--without-archive"):
        await archiver.drop(MONTH)
    assert (await content(db)).rows == 2000
    assert (await archiver.drop(MONTH, without_archive=True)).rows == 2000
    assert await status(db) is None
    await fill(db)
    await archiver.archive(MONTH)
    with pytest.raises(MonthRefused, match="--files"):
        await archiver.drop(MONTH)
    assert (await archiver.drop(MONTH, with_files=True)).result == "dropped"
    assert not folders(options)
    await fill(db, last=3)
    assert (await content(db)).rows == 3, "a month that was dropped may come again"
