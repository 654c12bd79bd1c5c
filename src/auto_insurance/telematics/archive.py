"""Takes months out of the database into Parquet files, and deletes months for good.

A month leaves in steps, each of which can be taken up by another process after a crash (``telematics_archives`` says
how far it got):

1. *written*: one snapshot of the partition goes into files, which are read back and compared. Nothing else has changed.
2. *closing*: writers refuse the month from here on. Whoever had claimed it before is waited for.
3. The partition is detached without blocking anybody. Now nobody can change it.
4. Its content is counted and summed again. As written: the files are verified once more. Not as written: the partition
   is attached again, and the month stays (new events) or is written anew (events were flagged meanwhile).
5. *archived*: the table is dropped in the same transaction that says so.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from secrets import token_hex
from typing import Any

import structlog

from auto_insurance.infra.db import partitions as months
from auto_insurance.infra.db.partitions import Month
from auto_insurance.infra.db.partitions_admin import maintenance
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics import archive_files as files
from auto_insurance.telematics import repository_archives as repository
from auto_insurance.telematics.archive_restore import restore
from auto_insurance.telematics.archive_steps import (
    ArchiveOptions,
    MonthSteps,
    OnStep,
    Outcome,
    folder_of,
    silent,
)
from auto_insurance.telematics.errors import ArchiveDamaged, ArchiveFailed, MonthRefused
from auto_insurance.telematics.partitions import TABLE, forget
from auto_insurance.telematics.repository_archives import ArchiveState, Content

log = structlog.get_logger(__name__)
ROUNDS = 3


class Archiver:
    """Archives and drops months, one at a time over all processes."""

    def __init__(self, database: Database, options: ArchiveOptions) -> None:
        self._database = database
        self._options = options

    async def archive(self, month: Month, *, force: bool = False, on_step: OnStep = silent) -> Outcome:
        """Take a month out of the database, from where an earlier attempt stopped.

        ``force`` archives a month that events still reach. Raises ``MonthRefused``, ``ArchiveFailed``,
        ``ArchiveDamaged`` and ``PartitionsBusy``; after each of them the events are where they were.
        """
        async with maintenance(self._database, TABLE) as care:
            try:
                return await _Leaving(care, self._options, month, force, on_step).run()
            finally:
                forget(self._database)

    async def drop(
        self, month: Month, *, without_archive: bool = False, with_files: bool = False, on_step: OnStep = silent
    ) -> Outcome:
        """Delete a month's events for good, in the database or (``with_files``) in the archive.

        A month with events needs ``without_archive``. Raises as ``archive`` does.
        """
        async with maintenance(self._database, TABLE) as care:
            try:
                return await _Leaving(care, self._options, month, True, on_step).drop(without_archive, with_files)
            finally:
                forget(self._database)

    async def due(self) -> list[Month]:
        """Return the months that retention takes out of the database, and those that were left half-way."""
        async with self._database.read() as uow:
            states = await repository.read_states(uow)
            there = await months.read_partitions(uow, TABLE)
        due = {month for month, state in states.items() if state.status in {"closing", "dropping"}}
        if self._options.retention_months:
            last = months.month_of(clock.now()).number - self._options.retention_months - 1
            whole = [p for p in there if p.end == months.month_of(p.start).end]
            due |= {month for month in (months.month_of(p.start) for p in whole) if month.number <= last}
        return sorted(month for month in due if months.is_closable(month))

    async def retain(self) -> list[Outcome]:
        """Archive all months that are due and finish what was being restored; one that fails keeps no other."""
        async with self._database.read() as uow:
            states = await repository.read_states(uow)
        returning = [month for month, state in states.items() if state.status == "restoring"]
        outcomes = []
        for month in [*returning, *await self.due()]:
            try:
                if month in returning:
                    outcome = await restore(self._database, self._options, month)
                else:
                    outcome = await self.archive(month)
            except (ArchiveDamaged, ArchiveFailed, MonthRefused) as error:
                log.error("month_not_archived", month=str(month), code=error.code, detail=error.detail)
                continue
            outcomes.append(outcome)
        return outcomes


class _Leaving(MonthSteps):
    """One month on its way out."""

    async def run(self) -> Outcome:
        for _ in range(ROUNDS):
            state = await self.state()
            if state is not None and state.status == "archived":
                return Outcome(self.month, "archived", state.rows or 0, state.files or 0, state.bytes or 0)
            if state is not None and state.status == "restoring":
                raise MonthRefused(f"{self.month} is being restored. Finish that: partitions restore {self.month}")
            if state is not None and state.status == "dropping":
                return await self.drop(without_archive=False, with_files=False)
            if state is None or state.status != "closing":
                outcome = await self._prepare(state)
                if outcome is not None:
                    return outcome
            outcome = await self._leave()
            if outcome is not None:
                return outcome
        raise MonthRefused(f"{self.month} is being changed all the time; it stays in the database.")

    async def drop(self, without_archive: bool, with_files: bool) -> Outcome:
        state = await self.state()
        if state is not None and state.status == "archived":
            return await self._drop_files(state, with_files)
        if state is not None and state.status in {"closing", "restoring"}:
            raise MonthRefused(f"{self.month} is {state.status}. Finish that first, with archive or restore.")
        table = state.table_name if state is not None and state.status == "dropping" else None
        table = table or await self.table()
        if not without_archive and (await self.content(table)).rows:
            if state is not None and state.status == "dropping":
                await self.care.detach(TABLE, table)
                await self.attach_again(table)
            raise MonthRefused(
                f"{self.month} holds events. Archive it (partitions archive {self.month}), or delete them for good"
                " with --without-archive."
            )
        await self.close(table, "dropping")
        await self.care.detach(TABLE, table)
        self.on_step("detached", 0, 0)
        rows = (await self.content(table)).rows
        if rows and not without_archive:
            await self.attach_again(table)
            return Outcome(self.month, "left", rows, reason="events arrived")
        await self.remove_files(state)

        async def gone(uow: UnitOfWork) -> None:
            await repository.drop_table(uow, table)
            await repository.delete_state(uow, self.month)

        await self.care.transaction(gone)
        log.info("month_dropped", month=str(self.month), rows=rows)
        return Outcome(self.month, "dropped", rows)

    async def _drop_files(self, state: ArchiveState, with_files: bool) -> Outcome:
        if not with_files:
            raise MonthRefused(f"{self.month} is archived, not in the database. --files deletes its archive for good.")
        await self.remove_files(state)
        async with self.care.database.begin() as uow:
            await repository.delete_state(uow, self.month)
        log.info("month_archive_dropped", month=str(self.month), rows=state.rows)
        return Outcome(self.month, "dropped", state.rows or 0, state.files or 0, state.bytes or 0)

    async def _prepare(self, state: ArchiveState | None) -> Outcome | None:
        """Bring the month to ``closing``; an outcome if it does not get there."""
        table = await self.table()
        if state is not None and state.status == "restored" and self._reached(state.updated_at):
            return self.left(f"restored {state.updated_at:%Y-%m-%d}")
        if state is None or not await self._still_good(state):
            # What does not fit is seen before anything is written.
            async with self.care.database.read() as uow:
                last_arrival = await repository.last_arrival(uow, table)
            if last_arrival is None:
                return await self.drop(without_archive=False, with_files=False)
            if self._reached(last_arrival):
                return self.left(f"events arrived {last_arrival:%Y-%m-%d}")
            state = await self._write(table, state)
        async with self.care.database.read() as uow:
            if state.last_arrival is not None and await repository.arrived_after(uow, table, state.last_arrival):
                await self.discard(state)
                return self.left("events arrived while it was written")
        await self.close(table, "closing")
        return None

    async def _still_good(self, state: ArchiveState) -> bool:
        if state.status != "written" or state.folder is None:
            return False
        try:
            await asyncio.to_thread(files.verify, folder_of(self.options, state.folder), state.manifest_sha256)
        except ArchiveDamaged:
            return False
        return True

    def _reached(self, last_arrival: datetime | None) -> bool:
        return not self.force and last_arrival is not None and last_arrival > clock.now() - self.options.quiet

    async def _write(self, table: str, before: ArchiveState | None) -> ArchiveState:
        folder = f"{self.month}-{token_hex(4)}"
        try:
            await self.remove_files(before)
            async with self.care.database.begin() as uow:
                # Before the first byte, so that files are never without an owner.
                nothing = dict.fromkeys(("rows", "files", "bytes", "checksum", "manifest_sha256", "last_arrival"))
                await repository.save_state(uow, self.month, "writing", table_name=table, folder=folder, **nothing)
            state = await self._write_files(table, folder)
        except OSError as error:
            await self._give_up(folder)
            raise ArchiveFailed(
                f"{self.month} could not be written to {self.options.folder}: {error.strerror or error}."
                " The database is as it was. Make room or choose another folder (ARCHIVE_DIR), then try again."
            ) from error
        except ArchiveDamaged:
            await self._give_up(folder)
            raise
        self.on_step("written", state.rows or 0, state.rows or 0)
        return state

    async def _write_files(self, table: str, folder: str) -> ArchiveState:
        schema = repository.columns()
        path = folder_of(self.options, folder)
        writer = await asyncio.to_thread(files.MonthWriter, path, schema, self.options.part_rows)
        async with self.care.database.read() as uow:
            await repository.snapshot(uow)
            content = await repository.content(uow, table, [name for name, _ in schema])
            async for rows in repository.stream(uow, table, schema):
                await asyncio.to_thread(writer.add, rows)
                self.on_step("writing", writer.rows, content.rows)
        if writer.rows != content.rows:
            raise ArchiveDamaged(f"{writer.rows} of {content.rows} events of {self.month} were written.")
        sha256 = await asyncio.to_thread(writer.finish, _manifest(self.month, schema, content))
        facts: dict[str, Any] = {
            "rows": content.rows,
            "files": len(writer.files),
            "bytes": sum(file.bytes for file in writer.files),
            "checksum": content.checksum,
            "manifest_sha256": sha256,
            "last_arrival": content.last_arrival,
        }
        self.on_step("named", content.rows, content.rows)
        async with self.care.database.begin() as uow:
            await repository.save_state(uow, self.month, "written", **facts)
        return ArchiveState(self.month, "written", table, folder, **facts)

    async def _give_up(self, folder: str) -> None:
        await asyncio.to_thread(files.remove, folder_of(self.options, folder))
        async with self.care.database.begin() as uow:
            await repository.delete_state(uow, self.month)

    async def _leave(self) -> Outcome | None:
        """Detach the closed month, compare, drop. None if its content was not as written: it is online again."""
        state = await self.state()
        if state is None or state.table_name is None or state.folder is None:
            raise MonthRefused(f"The state of {self.month} was changed by hand.")
        table = state.table_name
        self.on_step("closed", 0, 0)
        await self.care.detach(TABLE, table)
        self.on_step("detached", 0, 0)
        content = await self.content(table)
        if (content.rows, content.checksum) != (state.rows, state.checksum):
            await self.remove_files(state)
            await self.attach_again(table)
            log.info("month_changed_while_leaving", month=str(self.month), rows=content.rows)
            return self.left("events arrived") if content.last_arrival != state.last_arrival else None
        try:
            await asyncio.to_thread(files.verify, folder_of(self.options, state.folder), state.manifest_sha256)
        except ArchiveDamaged:
            await self.remove_files(state)
            await self.attach_again(table)
            raise
        self.on_step("verified", content.rows, content.rows)

        async def gone(uow: UnitOfWork) -> None:
            await repository.drop_table(uow, table)
            await repository.save_state(uow, self.month, "archived")

        await self.care.transaction(gone)
        self.on_step("dropped", content.rows, content.rows)
        log.info("month_archived", month=str(self.month), rows=state.rows, files=state.files, bytes=state.bytes)
        return Outcome(self.month, "archived", content.rows, state.files or 0, state.bytes or 0)


def _manifest(month: Month, schema: files.Schema, content: Content) -> files.Manifest:
    if content.first is None or content.last is None or content.last_arrival is None:
        raise ArchiveFailed(f"{month} became empty while it was written.")
    return files.Manifest(
        format_version=files.FORMAT_VERSION,
        table=TABLE,
        month=str(month),
        rows=content.rows,
        checksum=content.checksum,
        first=content.first,
        last=content.last,
        last_arrival=content.last_arrival,
        created_at=clock.now(),
        columns=list(schema),
        files=[],
    )
