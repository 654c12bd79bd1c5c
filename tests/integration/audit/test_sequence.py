"""Rows are chained after their commit, whoever is slow; what is done to them past the triggers is found."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from auto_insurance.audit import chain, repository
from auto_insurance.audit.chain import Anchor, Damage
from auto_insurance.audit.models import audit_log
from auto_insurance.audit.sequencer import AuditSequencer, SequencerOptions
from auto_insurance.audit.service import AuditService, check_all, record, rows_after
from auto_insurance.audit.verifying import check_stretch
from auto_insurance.infra import acting, metrics
from auto_insurance.infra.acting import Act, Actor, Place
from auto_insurance.infra.db.uow import Database, UnitOfWork
from tests.support.acts import by_force

ROWS = 12


@dataclass(frozen=True)
class Log:
    """A log and its sequencer."""

    db: Database
    sequencer: AuditSequencer

    async def write(self, number: int) -> None:
        """Leave a row of somebody about somebody."""
        act = Act(record, lambda: Place(f"act {number}"), f"request-{number}", "192.0.2.1", _ada())
        with acting.doing(act):
            async with self.db.begin() as uow:
                await uow.conn.execute(text("SELECT pg_current_xact_id()"))
                uow.note("policy", f"POL-{number}", private={"why": "late"}, step=number)
                uow.note("driver", f"DRV{number}")

    async def faults(self, known: dict[int, bytes] | None = None) -> list[tuple[int, Damage]]:
        """Return what is wrong with the whole log, and see that its export says the same."""
        found = (await check_all(self.db, known)).verifier
        lines = [chain.export_head(chain.START)]
        lines += [chain.export_line(row, opened) async for row, opened in rows_after(self.db, 0)]
        offline = chain.verify_lines(lines, known)
        if not await self.anchors():
            assert offline.faults == found.faults
        return [(fault.number, fault.damage) for fault in found.faults]

    async def faults_after(self, *statements: str) -> list[tuple[int, Damage]]:
        """Return what is wrong after changes past the triggers, by both ways; the changes are rolled back."""
        async with self.db.engine.connect() as conn:
            await conn.execute(text("SET LOCAL session_replication_role = replica"))
            for statement in statements:
                await conn.execute(text(statement))
            uow = UnitOfWork(conn)
            found = (await check_stretch(uow, 0, 10_000)).verifier
            rows = await repository.stretch(uow, 0, 10_000)
            await conn.rollback()
        lines = [chain.export_head(chain.START), *(chain.export_line(row, opened) for row, opened in rows)]
        assert chain.verify_lines(lines).faults == found.faults
        return [(fault.number, fault.damage) for fault in found.faults]

    async def anchors(self) -> list[Anchor]:
        async with self.db.read() as uow:
            found = await uow.conn.execute(text("SELECT number, hash FROM audit_anchors ORDER BY number"))
            return [Anchor(*row) for row in found]


def _ada() -> Actor:
    return Actor("user", "u-1", "ada")


@pytest.fixture
async def log(db: Database) -> Log:
    """A dozen chained rows."""
    made = Log(db, AuditSequencer(db))
    for number in range(1, ROWS + 1):
        await made.write(number)
    assert await made.sequencer.chain() == ROWS
    return made


async def test_rows_are_numbered_in_order_and_the_chain_holds(log: Log) -> None:
    found = [row async for row, _ in rows_after(log.db, 0)]
    assert [row.number for row in found] == list(range(1, ROWS + 1))
    assert [row.action for row in found] == [f"act {number}" for number in range(1, ROWS + 1)]
    assert await log.faults() == []
    assert await log.sequencer.chain() == 0


async def test_a_slow_writer_holds_up_nobody(log: Log) -> None:
    """What commits later is chained later, though it began before."""
    async with AsyncExitStack() as slow:
        with acting.doing(Act(record, lambda: Place("slow"))):
            uow = await slow.enter_async_context(log.db.begin())
            await uow.conn.execute(text("UPDATE users SET updated_at = now()"))
            await uow.conn.execute(text("SELECT pg_current_xact_id()"))
        await log.write(99)
        assert await log.sequencer.chain() == 1
    assert await log.sequencer.chain() == 1
    actions = [row.action async for row, _ in rows_after(log.db, ROWS)]
    assert actions == ["act 99", "slow"]
    assert await log.faults() == []


async def test_writers_and_sequencers_at_the_same_time(log: Log) -> None:
    async def sequence() -> None:
        for _ in range(10):
            await AuditSequencer(log.db, SequencerOptions(batch_rows=3)).chain()
            await asyncio.sleep(0)

    await asyncio.gather(*(log.write(number) for number in range(100, 130)), sequence(), sequence())
    while await log.sequencer.chain():
        pass
    assert len([row async for row, _ in rows_after(log.db, 0)]) == ROWS + 30
    assert await log.faults() == []


REFUSED = (
    "UPDATE audit_log SET details = '{}' WHERE number = 3",
    "UPDATE audit_log SET number = 30, hash = hash WHERE number = 3",
    "UPDATE audit_log SET number = NULL, hash = NULL WHERE number = 3",
    "UPDATE audit_log SET number = 13, hash = '', action = 'x' WHERE number IS NULL",
    "DELETE FROM audit_log WHERE number = 3",
    "DELETE FROM audit_log WHERE number IS NULL",
    "TRUNCATE audit_log",
    "UPDATE audit_subjects SET ident = 'x'",
    "TRUNCATE audit_subjects",
    "UPDATE audit_anchors SET number = 1",
    "DELETE FROM audit_anchors",
    "TRUNCATE audit_anchors",
)


async def test_the_database_refuses_changes(log: Log) -> None:
    await log.write(13)
    await log.sequencer.anchor()
    for statement in REFUSED:
        with pytest.raises(DBAPIError, match="append-only"):
            async with log.db.begin() as uow:
                await uow.conn.execute(text(statement))


OTHER = {
    "id": "gen_random_uuid()", "at": "at + interval '1 microsecond'", "number": "4000", "hash": "sha256('x')",
    "actor": "sha256('x')", "subject": "sha256('x')",
}  # fmt: skip
"""Other values for the columns that are no texts."""


async def test_a_changed_column_is_found(log: Log) -> None:
    for column in audit_log.columns:
        for number in (1, 5, ROWS):
            value = OTHER.get(column.name, "'other'")
            found = await log.faults_after(f"UPDATE audit_log SET {column.name} = {value} WHERE number = {number}")
            assert found, column.name
            assert found[0][0] == number


async def test_a_person_can_not_be_made_another(log: Log) -> None:
    for column in ("kind", "ident", "label", "address", "private", "salt"):
        value = "sha256('x')" if column == "salt" else "'other'"
        seal = "(SELECT actor FROM audit_log WHERE number = 5)"
        change = f"UPDATE audit_subjects SET {column} = {value} WHERE seal = {seal}"
        assert await log.faults_after(change) == [(5, Damage.SEAL)], column


INSERT = (
    "INSERT INTO audit_log SELECT gen_random_uuid(), at, actor_kind, actor, action, subject_kind, subject_id, subject, "
    "request_id, details, {number}, sha256('x') FROM audit_log WHERE number = 5"
)


MOVED: list[tuple[list[str], list[tuple[int, Damage]]]] = [
    (["DELETE FROM audit_log WHERE number = 5"], [(5, Damage.GAP)]),
    (["DELETE FROM audit_log WHERE number = 1"], [(1, Damage.GAP)]),
    (
        [
            "UPDATE audit_log SET number = 100 WHERE number = 5",
            "UPDATE audit_log SET number = 5 WHERE number = 6",
            "UPDATE audit_log SET number = 6 WHERE number = 100",
        ],
        [(5, Damage.CHANGED), (6, Damage.CHANGED), (7, Damage.CHANGED)],
    ),
    ([INSERT.format(number=13)], [(13, Damage.CHANGED)]),
    (
        ["DELETE FROM audit_log WHERE number = 6", INSERT.format(number=6)],
        [(6, Damage.CHANGED), (7, Damage.CHANGED)],
    ),
]


async def test_rows_that_were_moved_removed_and_added_are_found(log: Log) -> None:
    for statements, wanted in MOVED:
        assert await log.faults_after(*statements) == wanted, statements


async def test_a_cut_tail_is_found_by_an_anchor(log: Log) -> None:
    made = await log.sequencer.anchor()
    assert made is not None
    assert made.number == ROWS
    assert await log.anchors() == [made]
    known = {made.number: made.hash}
    assert await log.faults(known) == []
    await by_force(log.db, "DELETE FROM audit_log WHERE number > 10")
    assert await log.faults() == [(11, Damage.CUT)]
    await by_force(log.db, "DELETE FROM audit_anchors")
    assert await log.faults() == [], "without an anchor a shorter chain is a chain"
    assert await log.faults(known) == [(11, Damage.CUT)]
    # Rows that come after the cut hide nothing.
    for number in (20, 21):
        await log.write(number)
    await log.sequencer.chain()
    assert await log.faults(known) == [(12, Damage.ANCHOR)]


async def test_an_emptied_log_is_found(log: Log) -> None:
    await log.sequencer.anchor()
    await by_force(log.db, "DELETE FROM audit_log")
    assert await log.faults() == [(1, Damage.CUT)]
    assert await log.sequencer.anchor() is None
    assert metrics.AUDIT_CHAIN_FAULTS._value.get() == 1


async def test_anchors_follow_the_chain_and_go_to_a_file(log: Log, tmp_path: Path) -> None:
    file = tmp_path / "anchors.jsonl"
    sequencer = AuditSequencer(log.db, SequencerOptions(anchor_rows=10, anchor_file=file))
    made = [await sequencer.anchor() for _ in range(3)]
    assert [one.number if one else None for one in made] == [10, ROWS, None]
    kept = [chain.parse_anchor(line) for line in file.read_text().splitlines()]
    assert kept == await log.anchors() == [one for one in made if one]
    assert metrics.AUDIT_CHAIN_FAULTS._value.get() == 0
    await by_force(log.db, "UPDATE audit_log SET details = 'x' WHERE number = 11")
    await log.write(13)
    await log.sequencer.chain()
    assert (await sequencer.anchor()) is not None, "what was verified is not verified again at each turn"
    assert await log.faults() == [(11, Damage.CHANGED)], "the whole walk finds it"


async def test_a_file_that_can_not_be_written_stops_nothing(log: Log, tmp_path: Path) -> None:
    sequencer = AuditSequencer(log.db, SequencerOptions(anchor_file=tmp_path / "nowhere" / "anchors"))
    assert await sequencer.anchor() is not None


async def test_a_stretch_says_what_was_looked_at(log: Log) -> None:
    service = AuditService(log.db)
    await by_force(log.db, "UPDATE audit_log SET details = 'x' WHERE number = 4")
    async with log.db.read() as uow:
        whole = await service.check(uow, None, 1000)
        first = await service.check(uow, 0, 3)
        later = await service.check(uow, 4, 5)
        past = await service.check(uow, 500, 5)
    assert (whole.intact, whole.complete, whole.verifier.rows) == (False, True, ROWS)
    assert (first.intact, first.complete, first.verifier.head.number) == (True, False, 3)
    assert (later.intact, later.complete, later.verifier.head.number) == (True, False, 9)
    assert (past.intact, past.complete, past.verifier.rows) == (True, True, 0)
    await by_force(log.db, "DELETE FROM audit_log WHERE number = 7")
    async with log.db.read() as uow:
        gone = await service.check(uow, 7, 5)
    assert [(one.number, one.damage) for one in gone.verifier.faults] == [(7, Damage.GAP)]


async def test_what_hides_behind_seals_is_exported_until_it_is_erased(log: Log) -> None:
    async with log.db.begin() as uow:
        assert await AuditService(log.db).forget(uow, "driver", "DRV3") == 1
    exported = {row.number: chain.export_line(row, opened) async for row, opened in rows_after(log.db, 0)}
    assert "DRV2" in exported[2]
    assert "DRV3" not in exported[3]
    assert json.loads(exported[3])["subject"], "the seal stays"
    checked = await check_all(log.db)
    assert (checked.intact, checked.verifier.erased) == (True, 1)
