"""`auto-insurance partitions ...` and what `doctor` says of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from auto_insurance.entrypoints.cli import checks
from auto_insurance.entrypoints.cli.checks import Patient, Verdict
from auto_insurance.entrypoints.cli.main import app
from auto_insurance.infra.config import load_settings
from auto_insurance.infra.db.partitions import month_of
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from tests.integration.partitions.conftest import MONTH, arrived_lately, fill

Call = Callable[..., "asyncio.Future[Result]"]


@pytest.fixture
def call(database_url: str, tmp_path: Path) -> Call:
    """The program, as a person types it."""

    def run(*argv: str, stdin: str | None = None) -> Result:
        env = {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path / "data"), "COLUMNS": "200", "TERM": "dumb"}
        return CliRunner().invoke(app, ["partitions", *argv], env=env, input=stdin)

    return lambda *argv, stdin=None: asyncio.ensure_future(asyncio.to_thread(run, *argv, stdin=stdin))


async def test_a_month_there_and_back(db: Database, call: Call, tmp_path: Path) -> None:
    await fill(db)
    listed = json.loads((await call("list", "--json")).output)
    assert listed[0] | {"table_bytes": 1, "index_bytes": 1} == {
        "month": "2024-02",
        "partition": "telematics_events_2024_02",
        "status": "online",
        "rows": 2000,
        "exact": True,
        "table_bytes": 1,
        "index_bytes": 1,
        "archive_bytes": 0,
        "last_arrival": "2024-03-01 00:00:00.002000+00:00",
    }
    said = await call("archive", "2024-02")
    assert (said.exit_code, said.output.split(" in ")[0]) == (0, "2024-02: archived, 2,000 events")
    assert "archived" in (await call("list")).output
    assert "2024-02: archived" in (await call("archive", "2024-02")).output
    shown = await call("show", "--driver", "DRV003", "--month", "2024-02", "--limit", "2")
    assert shown.output.endswith("2 of 286 events.\n"), shown.output
    assert len(json.loads((await call("show", "--driver", "DRV003", "--month", "2024-02", "--json")).output)) == 20
    out = tmp_path / "out.parquet"
    await call("show", "--driver", "DRV003", "--month", "2024-02", "-o", str(out))
    assert len(pl.read_parquet(out)) == 286
    assert "No archived events" in (await call("show", "--driver", "NOBODY", "--month", "2024-02")).output
    assert json.loads((await call("restore", "2024-02", "--json")).output)[0]["result"] == "restored"
    assert "restored" in (await call("archive", "2024-02")).output
    assert "left: restored" in (await call("archive", "--due")).output


async def test_words_before_anything_is_deleted(db: Database, call: Call) -> None:
    await fill(db, arrived=arrived_lately())
    assert "--force" in (await call("archive", str(MONTH))).output
    refused = await call("drop", str(MONTH))
    assert (refused.exit_code, "--without-archive" in refused.output) == (1, True)
    assert (await call("drop", str(MONTH), "--without-archive", stdin="n\n")).exit_code == 1
    assert "2,000 events" in (await call("drop", str(MONTH), "--without-archive", "--yes")).output


@pytest.mark.parametrize("argv", [("archive", "2025-13"), ("restore", "May"), ("drop", "202501"), ("archive",)])
async def test_wrong_words_are_told(call: Call, argv: tuple[str, ...]) -> None:
    said = await call(*argv)
    assert said.exit_code == 2
    assert "2025-01" in said.output or "--due" in said.output


async def test_create_and_convert(db: Database, call: Call) -> None:
    assert "There already" in (await call("create")).output
    said = (await call("create", "1990-01", "2099-12", str(month_of(clock.now())))).output
    assert said.startswith("Created: 1990-01, 2099-12\nThere already: ")
    async with db.begin() as uow:
        await uow.conn.exec_driver_sql("CREATE TABLE tracks (id int PRIMARY KEY, at timestamptz NOT NULL)")
        await uow.conn.exec_driver_sql("INSERT INTO tracks VALUES (1, '2025-05-05'), (2, '2025-07-05')")
    assert (await call("convert", "tracks", "--yes")).exit_code == 1
    converted = (await call("convert", "tracks", "--column", "at", "--yes")).output
    assert "tracks: 2 rows in 6 partitions." in converted
    assert "DROP TABLE tracks_unpartitioned" in converted


async def test_the_doctor_looks_at_months_and_archive(db: Database, database_url: str, tmp_path: Path) -> None:
    settings = load_settings(env={"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)})
    patient = Patient(settings, None)
    assert (await asyncio.to_thread(checks.partitions, patient)).verdict is Verdict.OK
    assert checks.archive(patient).verdict is Verdict.OK
    async with db.begin() as uow:
        name = f"telematics_events_{month_of(clock.now()).plus(3)}".replace("-", "_")
        await uow.conn.exec_driver_sql(f"DROP TABLE {name}")
    found = await asyncio.to_thread(checks.partitions, patient)
    assert (found.verdict, "partitions create" in found.remedy) == (Verdict.WARN, True)
    (tmp_path / "file").write_text("")
    broken = load_settings(env={"DATABASE_URL": database_url, "ARCHIVE_DIR": str(tmp_path / "file")})
    assert checks.archive(Patient(broken, None)).verdict is Verdict.BAD
    nowhere = load_settings(env={"DATABASE_URL": "postgresql://x:y@127.0.0.1:1/z"})
    assert (await asyncio.to_thread(checks.partitions, Patient(nowhere, None))).verdict is Verdict.WARN
