"""Readers of archived months, and the scheduler's part."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from auto_insurance import bootstrap
from auto_insurance.entrypoints import scheduler
from auto_insurance.infra.config import load_settings
from auto_insurance.infra.db.partitions_admin import maintenance
from auto_insurance.infra.db.uow import Database
from auto_insurance.telematics import partitions
from auto_insurance.telematics.archive import Archiver
from auto_insurance.telematics.archive_reads import ArchiveReader, overview
from auto_insurance.telematics.archive_restore import restore
from auto_insurance.telematics.archive_steps import ArchiveOptions
from auto_insurance.telematics.service import TelematicsService
from tests.integration.partitions.conftest import MONTH, Mortals, attached, content, fill, folders, status


async def test_a_path_over_two_months_of_which_one_is_archived(db: Database, options: ArchiveOptions) -> None:
    service = TelematicsService(archive=ArchiveReader(options))
    await fill(db, last=600)
    await fill(db, MONTH.plus(1), last=600)
    start, end = MONTH.start, MONTH.plus(2).start

    async def path(driver: str | None = "DRV003") -> list[int]:
        async with db.read() as uow:
            return [point.t_us for point in await service.path(uow, "dev-3", start, end, driver)]

    before = await path()
    assert len(before) == 172
    await Archiver(db, options).archive(MONTH)
    assert await path() == before
    assert len(await path(None)) == 86, "without the driver the files can't be searched"
    assert await path("DRV001") == before[86:]
    next(options.folder.glob("*/*/manifest.json")).write_text("{}")
    partitions.forget(db)
    assert await path() == before[86:], "a damaged archive costs its points, not the answer"


async def test_the_overview_names_every_state(
    db: Database, database_url: str, options: ArchiveOptions, mortals: Mortals
) -> None:
    await fill(db, last=50)
    mortals.killed_at("detached", "archive", database_url, options)

    async def state() -> tuple[str, int | None]:
        async with db.read() as uow:
            found = {one.month: one for one in await overview(uow, exact=True)}
        return found[str(MONTH)].status, found[str(MONTH)].rows

    assert await state() == ("detached", 50)
    await restore(db, options, MONTH)
    assert await state() == ("online", 50)
    mortals.killed_at("closed", "archive", database_url, options)
    assert await state() == ("closing", 50)
    await Archiver(db, options).archive(MONTH)
    assert await state() == ("archived", 50)


async def test_the_scheduler_retains_resumes_and_gives_way(
    db: Database, database_url: str, options: ArchiveOptions, mortals: Mortals, tmp_path: Path
) -> None:
    env = {"DATABASE_URL": database_url, "ARCHIVE_DIR": str(options.folder), "DATA_DIR": str(tmp_path)}
    container = bootstrap.build(load_settings(env=env), "scheduler")
    try:
        await fill(db, last=50)
        before = await content(db)
        async with maintenance(db, partitions.TABLE):
            await scheduler.retain(container)
        assert await status(db) is None, "somebody else is at it"
        await scheduler.retain(container)
        assert (await status(db), len(folders(options))) == ("archived", 1)
        mortals.killed_at("loading", "restore", database_url, options)
        assert not await attached(db)
        await scheduler.retain(container)
        assert (await status(db), await content(db)) == ("restored", before)
    finally:
        await container.close()


async def test_a_stop_cuts_long_work_off() -> None:
    stop, ended = asyncio.Event(), []

    async def long() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def short() -> None:
        ended.append(False)

    async def broken() -> None:
        raise ValueError("broken")

    await scheduler.until(stop, short())
    with pytest.raises(ValueError, match="broken"):
        await scheduler.until(stop, broken())
    asyncio.get_running_loop().call_later(0.05, stop.set)
    async with asyncio.timeout(10):
        await scheduler.until(stop, long())
    assert ended == [False, True]
    assert timedelta(seconds=scheduler.RETENTION_EVERY_S) == timedelta(hours=6)
