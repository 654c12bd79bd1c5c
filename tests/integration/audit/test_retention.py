"""Old months leave the log by whole months; the rest of the chain holds, and hangs on what left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from auto_insurance.audit import chain, repository, repository_closings, retention
from auto_insurance.audit.retention import AuditMonthBroken, AuditRetention
from auto_insurance.audit.sequencer import AuditSequencer
from auto_insurance.audit.service import check_all, closings_at, place, record, rows_after
from auto_insurance.entrypoints.cli.main import build_app
from auto_insurance.infra import acting
from auto_insurance.infra.acting import Act, Actor, Place
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock
from auto_insurance.kernel.clock import FrozenClock
from tests.support.acts import by_force

NOW = datetime(2026, 6, 15, tzinfo=UTC)
MONTHS = {"2014-01": 5, "2014-02": 3, "2014-04": 4, "2026-05": 2}


@dataclass(frozen=True)
class Log:
    """A log of four months, two and a half of them too old."""

    db: Database
    sequencer: AuditSequencer

    async def write(self, at: datetime) -> None:
        act = Act(record, lambda: Place("act"), "r", "192.0.2.1", Actor("user", "u-1", "ada"))
        with clock.use_clock(FrozenClock(at)), acting.doing(act):
            async with self.db.begin() as uow:
                await uow.conn.execute(text("SELECT pg_current_xact_id()"))
                uow.note("driver", "DRV1")

    async def damage(self, known: dict[int, bytes] | None = None) -> list[tuple[int, str]]:
        """Return what is wrong with the log; its export, verified without a database, must say the same."""
        found = (await check_all(self.db, known)).verifier
        start = await place(self.db, 0)
        lines = [chain.export_head(start, await closings_at(self.db, start.number))]
        lines += [chain.export_line(row, opened) async for row, opened in rows_after(self.db, start.number)]
        offline = chain.verify_lines(lines, known)
        assert offline.faults == found.faults
        return [(one.number, one.damage.value) for one in found.faults]

    async def count(self, table: str) -> int:
        async with self.db.read() as uow:
            return int((await uow.conn.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


@pytest.fixture
async def log(db: Database) -> AsyncIterator[Log]:
    made = Log(db, AuditSequencer(db))
    for month, rows in MONTHS.items():
        for day in range(1, rows + 1):
            await made.write(datetime.fromisoformat(f"{month}-{day:02}T12:00:00+00:00"))
        await made.sequencer.chain()
    with clock.use_clock(FrozenClock(NOW)):
        yield made


async def test_whole_months_leave_and_the_rest_is_verified(log: Log, tmp_path: Path) -> None:
    outside = await place(log.db, 8)
    kept = AuditRetention(log.db, 120, tmp_path)
    assert [(one.month, one.rows) for one in await kept.due()] == [("2014-01", 5), ("2014-02", 3), ("2014-04", 4)]
    assert await log.count("audit_log") == 14, "asking changes nothing"
    steps: list[tuple[str, int]] = []
    assert await kept.run(progress=lambda *step: steps.append(step)) == 12
    assert [month for month, _ in steps] == ["2014-01", "2014-02", "2014-04"]
    assert (await log.count("audit_log"), await log.count("audit_subjects")) == (2, 4)
    assert await log.damage() == []
    assert await log.damage({outside.number: outside.hash}) == [], "an anchor from elsewhere at a month's end"
    assert await log.damage({outside.number: bytes(32)}) == [(8, "anchor")]
    assert (await check_all(log.db)).verifier.after.number == 12
    assert (await kept.due(), await kept.run()) == ([], 0)
    before = chain.START
    for name in ("audit-2014-01-1.jsonl", "audit-2014-02-6.jsonl", "audit-2014-04-9.jsonl"):
        copied = chain.verify_lines((tmp_path / name).read_text().splitlines())
        assert (copied.found, copied.after) == (0, before), "the copies are one chain"
        before = copied.head
    await log.write(NOW)
    assert await log.sequencer.chain() == 1
    assert (await log.sequencer.anchor() or chain.START).number == 15
    assert await log.damage() == []


async def test_when_all_leave_the_numbers_go_on(log: Log) -> None:
    assert await AuditRetention(log.db, 120).run(NOW + timedelta(days=30)) == 14
    assert await log.damage() == []
    await log.write(NOW)
    await log.sequencer.chain()
    assert (await place(log.db, 99)).number == 15
    assert await log.damage() == []


async def test_rows_that_are_not_chained_stay(log: Log) -> None:
    await log.write(datetime(2013, 1, 1, tzinfo=UTC))
    assert await AuditRetention(log.db, 120).run() == 12
    assert await log.count("audit_log WHERE number IS NULL") == 1
    await log.sequencer.chain()
    assert await AuditRetention(log.db, 120).run() == 0, "it stands behind a row that is kept"
    assert await log.damage() == []


TAMPERED = (
    ("UPDATE audit_closings SET hash = sha256('x') WHERE last_number = 12", {(9, "closing"), (13, "changed")}),
    ("UPDATE audit_closings SET hash = sha256('x') WHERE last_number = 5", {(1, "closing"), (6, "closing")}),
    ("UPDATE audit_closings SET at = 'x' WHERE last_number = 5", {(1, "closing")}),
    ("UPDATE audit_closings SET month = '2013-12' WHERE last_number = 8", {(6, "closing")}),
    ("UPDATE audit_closings SET last_number = 11 WHERE last_number = 12", {(9, "closing"), (12, "gap")}),
    ("DELETE FROM audit_closings WHERE last_number = 8", {(9, "closing")}),
    ("DELETE FROM audit_closings", {(1, "gap")}),
    ("DELETE FROM audit_log WHERE number = 13", {(13, "gap")}),
)


@pytest.mark.parametrize(("statement", "damage"), TAMPERED)
async def test_a_changed_record_of_what_left_is_found(log: Log, statement: str, damage: set[tuple[int, str]]) -> None:
    await AuditRetention(log.db, 120).run()
    await by_force(log.db, statement)
    assert damage <= set(await log.damage()), statement


async def test_a_record_made_anew_does_not_fit_the_rest(log: Log) -> None:
    """Whoever can compute digests still has no row of the rest that hangs on another hash."""
    await AuditRetention(log.db, 120).run()
    async with log.db.read() as uow:
        *rest, last = await repository_closings.closings(uow)
    after = chain.Anchor(rest[-1].last_number, rest[-1].hash)
    other = chain.close(rest[-1], last.month, after, chain.Anchor(12, bytes(32)), last.at)
    values = f"hash = '\\x{other.hash.hex()}', digest = '\\x{other.digest.hex()}'"
    await by_force(log.db, f"UPDATE audit_closings SET {values} WHERE last_number = 12")
    assert await log.damage() == [(13, "changed")]


async def test_an_interrupted_drop_goes_on(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAGE", 2)
    kept = AuditRetention(log.db, 120)

    def stop(month: str, gone: int) -> None:
        if month == "2014-02":
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await kept.run(progress=stop)
    assert await log.count("audit_log") == 14 - 7
    assert await log.damage() == [], "what is closed and still there is not looked at"
    assert await kept.run() == 5
    assert await log.damage() == []
    assert await log.count("audit_closings") == 3


async def test_a_broken_month_stays(log: Log, tmp_path: Path) -> None:
    await by_force(
        log.db, "UPDATE audit_log SET action = 'other' WHERE number = 7", "DELETE FROM audit_log WHERE number = 11"
    )
    with pytest.raises(AuditMonthBroken, match="2014-02 stays"):
        await AuditRetention(log.db, 120, tmp_path).run()
    assert (await log.count("audit_log"), await log.count("audit_closings")) == (8, 1)
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["audit-2014-01-1.jsonl"]


async def test_a_copy_that_cannot_be_written_keeps_the_month(log: Log, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        await AuditRetention(log.db, 120, tmp_path / "none").run()
    assert await log.count("audit_log") == 14


async def test_the_database_lets_nothing_else_go(log: Log) -> None:
    await AuditRetention(log.db, 120).run()
    await log.write(NOW)
    for statement in (
        "DELETE FROM audit_log WHERE number = 13",
        "DELETE FROM audit_log WHERE number IS NULL",
        "TRUNCATE audit_log",
        "UPDATE audit_closings SET month = 'x'",
        "DELETE FROM audit_closings",
        "TRUNCATE audit_closings",
    ):
        with pytest.raises(DBAPIError, match="append-only"):
            async with log.db.begin() as uow:
                await uow.conn.execute(text(statement))


async def test_one_at_a_time(log: Log) -> None:
    gone = await asyncio.gather(*(AuditRetention(log.db, 120).run() for _ in range(3)))
    assert sum(gone) == 12
    assert await log.damage() == []
    async with log.db.read() as uow:
        assert await repository.count_waiting(uow) == 0


async def test_the_commands(log: Log, database_url: str, tmp_path: Path) -> None:
    async def ran(*argv: str, code: int = 0) -> str:
        env = {"DATABASE_URL": database_url, "COLUMNS": "200", "AUDIT_RETENTION_MONTHS": "120"}
        result = await asyncio.to_thread(CliRunner().invoke, build_app(), ["audit", *argv], env=env)
        assert result.exit_code == code, result.output
        return result.stdout or result.output

    assert len(json.loads(await ran("months", "--json"))) == 3
    assert "2014-02" in await ran("drop", "--dry-run")
    assert await log.count("audit_log") == 14
    await ran("drop", "--yes", code=2)
    await ran("drop", "--before", "2014", code=2)
    await ran("drop", "--before", "2030-01", "--yes", code=2)
    assert "5 rows have left" in await ran("drop", "--before", "2014-02", "--to", str(tmp_path), "--yes")
    assert "7 rows have left" in await ran("drop", "--without-copy", "--yes")
    assert "No month" in await ran("months")
    assert "The chain holds after row 12" in await ran("verify")
    assert "up to number" in (await ran("export", "-o", str(tmp_path / "all"))) or (tmp_path / "all").exists()
    assert "The chain holds after row 12" in await ran("verify", "--file", str(tmp_path / "all"))
    tampered = (tmp_path / "all").read_text().replace("2014-02", "2014-03")
    (tmp_path / "all").write_text(tampered)
    assert "closing" in await ran("verify", "--file", str(tmp_path / "all"), code=1)
