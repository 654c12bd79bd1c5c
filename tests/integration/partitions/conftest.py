"""A month of events, and processes that archive it and die."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from auto_insurance.infra.db.partitions import Month, ensure_months
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from auto_insurance.telematics import repository_archives as repository
from auto_insurance.telematics.archive_steps import ArchiveOptions
from auto_insurance.telematics.partitions import TABLE
from auto_insurance.telematics.repository_archives import Content

MONTH = Month(2024, 2)
_FILL = text(
    "INSERT INTO telematics_events (device_id, timestamp, event_id, driver_id, received_at, latitude, longitude,"
    " speed_mph, event_type, phone_in_use, quality, device_trip_id, extra)"
    " SELECT 'dev-' || n % 7, CAST(:start AS timestamptz) + n * interval '61.000001 s', md5(n::text),"
    " 'DRV' || lpad((n % 7)::text, 3, '0'), CAST(:arrived AS timestamptz) + n * interval '1 us',"
    " 51 + n * 1e-5, CASE WHEN n % 3 > 0 THEN -0.1 + n / 3e5 END, n * 0.1, 'normal',"
    " CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END, (n % 5)::smallint,"
    " CASE WHEN n % 4 = 0 THEN 'trip, \"one\"' END,"
    ' CASE WHEN n % 4 = 1 THEN CAST(\'{"a": [1, null], "text": "Zürich"}\' AS jsonb) END'
    " FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"
)


async def fill(
    db: Database, month: Month = MONTH, *, first: int = 1, last: int = 2000, arrived: datetime | None = None
) -> None:
    """Store events of a month that arrived, by default, as its month ended."""
    async with db.begin() as uow:
        await ensure_months(uow, TABLE, [month])
        params = {"start": month.start, "arrived": arrived or month.end, "first": first, "last": last}
        await uow.conn.execute(_FILL, params)


async def content(db: Database, table: str = TABLE) -> Content:
    """Return what the events, or one partition of them, hold."""
    async with db.read() as uow:
        return await repository.content(uow, table, [name for name, _ in repository.columns()])


async def status(db: Database, month: Month = MONTH) -> str | None:
    """Return a month's status."""
    async with db.read() as uow:
        state = await repository.read_state(uow, month)
    return None if state is None else state.status


async def attached(db: Database, month: Month = MONTH) -> bool:
    """Return whether the month has a partition."""
    query = text(
        "SELECT EXISTS (SELECT FROM month_partitions('telematics_events') WHERE from_at = :at AND NOT pending)"
    )
    async with db.read() as uow:
        return bool(await uow.conn.scalar(query, {"at": month.start}))


def folders(options: ArchiveOptions) -> list[str]:
    """Return the names of what is in the archive."""
    return sorted(path.name for path in options.folder.glob("*/*"))


@pytest.fixture
def options(tmp_path: Path) -> ArchiveOptions:
    """An archive in an empty folder, of small files."""
    return ArchiveOptions(tmp_path / "archive", quiet=timedelta(days=30), part_rows=700)


def arrived_lately() -> datetime:
    """Return a time of arrival that keeps a month online."""
    return clock.now() - timedelta(days=3)


SERVER = """
import asyncio, json, os, signal, sys
from pathlib import Path
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.partitions import parse_month
from auto_insurance.infra.db.uow import Database
from auto_insurance.telematics.archive import Archiver
from auto_insurance.telematics.archive_restore import restore
from auto_insurance.telematics.archive_steps import ArchiveOptions

async def work(url, folder, month, what, last):
    def on_step(step, done, total):
        print(step, flush=True)
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)
    database = Database(create_engine(EngineOptions(url=url, pool_size=1)))
    options = ArchiveOptions(Path(folder), part_rows=700)
    if what == "archive":
        await Archiver(database, options).archive(parse_month(month), on_step=on_step)
    else:
        await restore(database, options, parse_month(month), on_step=on_step)

for line in sys.stdin:
    child = os.fork()
    if not child:
        asyncio.run(work(*json.loads(line)))
        os._exit(0)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Mortals:
    """Real processes that archive or restore and are killed between two steps. Forked, as imports take seconds."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def killed_at(self, step: str, what: str, url: str, options: ArchiveOptions, month: Month = MONTH) -> list[str]:
        """Run a process that is killed after a step of the month; return the steps that it told of."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([url, str(options.folder), str(month), what, step]) + "\n")
        self._server.stdin.flush()
        steps: list[str] = []
        for line in self._server.stdout:
            word, *code = line.split()
            if word == "ended":
                assert int(code[0]) == -signal.SIGKILL, f"after {steps} it ended with {code[0]}"
                return steps
            if not line.startswith("event="):
                steps.append(word)
        raise AssertionError("the server of processes is gone")

    def stop(self) -> None:
        """End the server."""
        self._server.communicate(timeout=20)


@pytest.fixture(scope="module")
def mortals() -> Iterator[Mortals]:
    """Processes to kill."""
    server = Mortals()
    yield server
    server.stop()
