"""The commands about the months of the driving events: what is there, archive, drop, restore, look inside."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from auto_insurance.entrypoints.cli.admin import DataDirOption, database_url
from auto_insurance.entrypoints.cli.output import console, errors, fail, settings_or_exit, show

if TYPE_CHECKING:
    from auto_insurance.infra.db.partitions import Month
    from auto_insurance.infra.db.uow import Database
    from auto_insurance.telematics.archive_reads import MonthOverview
    from auto_insurance.telematics.archive_steps import ArchiveOptions, OnStep, Outcome

T = TypeVar("T")
Work = Callable[["Database", "ArchiveOptions"], Awaitable[T]]
Json = Annotated[bool, typer.Option("--json", help="For programs: one JSON document on standard output.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Months = Annotated[list[str], typer.Argument(metavar="MONTH...", help="Months such as 2025-01, in UTC.")]
MAX_AHEAD = 120
MAX_SHOWN = 100_000


def list_months(
    exact: Annotated[bool, typer.Option("--exact", help="Count the large partitions too: reads all of them.")] = False,
    as_json: Json = False,
    data_dir: DataDirOption = None,
) -> None:
    """List the [b]months[/b] of driving events: rows, sizes, where they are, when the last event arrived.

    Status: online; restored (online, its files kept); archived (files only); closing or detached (on its way out, taken
    up again by archive or restore); restoring. A number with ~ is an estimate of PostgreSQL.
    """
    from auto_insurance.telematics.archive_reads import overview  # noqa: PLC0415 - slow to load, not for --help

    async def look(database: Database, _: ArchiveOptions) -> list[MonthOverview]:
        async with database.read() as uow:
            return await overview(uow, exact=exact)

    found = _run(data_dir, look)
    if as_json:
        _print_json([asdict(one) for one in found])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Month", "Status"):
        table.add_column(name)
    for name in ("Rows", "Table", "Indexes", "Archive"):
        table.add_column(name, justify="right")
    table.add_column("Last arrival")
    styles = {"online": "green", "archived": "cyan", "restored": "green"}
    for one in found:
        rows = "?" if one.rows is None else f"{'' if one.exact else '~'}{one.rows:,}"
        status = f"[{styles.get(one.status, 'yellow')}]{one.status}[/]"
        sizes = (decimal(size) if size else "-" for size in (one.table_bytes, one.index_bytes, one.archive_bytes))
        arrival = "-" if one.last_arrival is None else f"{one.last_arrival:%Y-%m-%d %H:%M}"
        table.add_row(one.month, status, rows, *sizes, arrival)
    show(table)


def create(
    months: Annotated[list[str] | None, typer.Argument(metavar="[MONTH]...", help="Months such as 2025-01.")] = None,
    ahead: Annotated[int, typer.Option(min=0, max=MAX_AHEAD, help="This month and so many after it.")] = 3,
    data_dir: DataDirOption = None,
) -> None:
    """Create the partitions of months. The scheduler and the writers do so by themselves; this is for beforehand."""
    from auto_insurance.infra.db import partitions  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.kernel import clock  # noqa: PLC0415
    from auto_insurance.telematics.partitions import TABLE  # noqa: PLC0415

    wanted = _months(months) if months else partitions.months_ahead(partitions.month_of(clock.now()), ahead)

    async def make(database: Database, _: ArchiveOptions) -> list[Month]:
        return [month for month in wanted if await partitions.create_month(database, TABLE, month)]

    made = _run(data_dir, make)
    there = [month for month in wanted if month not in made]
    if made:
        console.print(f"Created: {', '.join(map(str, made))}")
    if there:
        console.print(f"There already: {', '.join(map(str, there))}")


def archive(
    months: Annotated[list[str] | None, typer.Argument(metavar="[MONTH]...", help="Months such as 2025-01.")] = None,
    due: Annotated[bool, typer.Option("--due", help="All months that are past RETENTION_MONTHS.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also a month that events reached lately.")] = False,
    as_json: Json = False,
    data_dir: DataDirOption = None,
) -> None:
    """Move months to [b]Parquet files[/b] in ARCHIVE_DIR. Safe to interrupt and to repeat.

    The files are read back and compared before the partition is detached and dropped; nothing waits for it meanwhile.
    Archived months stay readable (partitions show) and come back with partitions restore. The scheduler archives by
    itself what is past RETENTION_MONTHS.
    """
    from auto_insurance.telematics.archive import Archiver  # noqa: PLC0415 - slow to load, not for --help

    if bool(months) == due:
        fail("Name the months to archive, or use --due for those past RETENTION_MONTHS.", 2)
    wanted = _months(months or [])

    async def work(database: Database, options: ArchiveOptions) -> list[Outcome]:
        archiver = Archiver(database, options)
        outcomes = []
        for month in wanted or await archiver.due():
            with _progress(str(month)) as told:
                outcomes.append(await archiver.archive(month, force=force, on_step=told))
        return outcomes

    _tell(_run(data_dir, work), as_json, "No month is past RETENTION_MONTHS.")


def drop(
    month: Annotated[str, typer.Argument(help="Month such as 2025-01, in UTC.")],
    without_archive: Annotated[
        bool, typer.Option("--without-archive", help="Delete events that are in the database and in no file.")
    ] = False,
    with_files: Annotated[bool, typer.Option("--files", help="Delete the files of an archived month.")] = False,
    yes: Yes = False,
    data_dir: DataDirOption = None,
) -> None:
    """Delete a month's events [b]for good[/b]. An empty partition goes without further words."""
    from auto_insurance.telematics.archive import Archiver  # noqa: PLC0415 - slow to load, not for --help

    (wanted,) = _months([month])
    if not yes and (without_archive or with_files):
        typer.confirm(f"Delete the driving events of {wanted} for good?", abort=True)

    async def work(database: Database, options: ArchiveOptions) -> list[Outcome]:
        archiver = Archiver(database, options)
        return [await archiver.drop(wanted, without_archive=without_archive, with_files=with_files)]

    _tell(_run(data_dir, work), False, "")


def restore(months: Months, as_json: Json = False, data_dir: DataDirOption = None) -> None:
    """Bring archived months [b]back into the database[/b]. Safe to interrupt and to repeat.

    A restored month takes events again and is left alone by the retention for RETENTION_QUIET_DAYS.
    """
    from auto_insurance.telematics import archive_restore  # noqa: PLC0415 - slow to load, not for --help

    wanted = _months(months)

    async def work(database: Database, options: ArchiveOptions) -> list[Outcome]:
        outcomes = []
        for month in wanted:
            with _progress(str(month)) as told:
                outcomes.append(await archive_restore.restore(database, options, month, on_step=told))
        return outcomes

    _tell(_run(data_dir, work), as_json, "")


def show_events(
    driver: Annotated[str, typer.Option("--driver", help="Driver such as DRV001.")],
    month: Annotated[str, typer.Option("--month", help="Archived month such as 2025-01.")],
    limit: Annotated[int, typer.Option(min=1, max=MAX_SHOWN, help="Rows to show at most.")] = 20,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write all rows to this .parquet or .csv.")
    ] = None,
    as_json: Json = False,
    data_dir: DataDirOption = None,
) -> None:
    """Show one driver's events of an [b]archived month[/b], straight from its files."""
    from auto_insurance.telematics.archive_reads import ArchiveReader  # noqa: PLC0415 - slow to load, not for --help

    (wanted,) = _months([month])

    async def look(database: Database, options: ArchiveOptions) -> Any:
        async with database.read() as uow:
            return await ArchiveReader(options).events(uow, driver, wanted.start, wanted.end)

    found = _run(data_dir, look)
    if output is not None:
        try:
            found.write_csv(output) if output.suffix == ".csv" else found.write_parquet(output)
        except OSError as error:
            fail(f"{output} cannot be written: {error.strerror or error}")
        console.print(f"{len(found)} events written to {output}")
    elif as_json:
        _print_json(found.head(limit).rows(named=True))
    elif found.is_empty():
        console.print(f"No archived events of {driver} in {wanted}. 'partitions list' shows which months are archived.")
    else:
        names = ("timestamp", "device_id", "event_type", "speed_mph", "latitude", "longitude")
        table = Table(*names, box=None, pad_edge=False, header_style="bold")
        for row in found.head(limit).select(names).rows():
            table.add_row(*("" if value is None else str(value) for value in row))
        show(table)
        console.print(f"{min(limit, len(found))} of {len(found)} events.")


def _run(data_dir: Path | None, work: Work[T]) -> T:
    from auto_insurance import bootstrap  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.entrypoints.cli.schema import revisions  # noqa: PLC0415
    from auto_insurance.infra.db.engine import EngineOptions, create_engine  # noqa: PLC0415
    from auto_insurance.infra.db.uow import Database  # noqa: PLC0415
    from auto_insurance.infra.logging import configure_logging  # noqa: PLC0415
    from auto_insurance.kernel.errors import AppError  # noqa: PLC0415

    settings = settings_or_exit({"DATA_DIR": data_dir})
    configure_logging(json=False, level="WARNING", stream=sys.stderr)
    url = database_url(settings)
    if url is None:
        fail("There is no database: set DATABASE_URL, or start 'auto-insurance up' first.", 2)
    try:
        present, needed = revisions(url)
    except (OSError, ValueError) as error:
        fail(f"The database cannot be reached: {error}")
    if present != needed:
        fail(f"The schema is at {present or 'nothing'}, the program needs {needed}. Run: auto-insurance migrate")

    async def body() -> T:
        database = Database(create_engine(EngineOptions(url, pool_size=2, application_name="partitions")))
        try:
            return await work(database, bootstrap.archive_options(settings))
        finally:
            await database.dispose()

    try:
        return asyncio.run(body())
    except AppError as error:
        fail(error.detail)


def _months(given: Sequence[str]) -> list[Month]:
    from auto_insurance.infra.db.partitions import InvalidMonth, parse_month  # noqa: PLC0415 - slow to load

    try:
        return [parse_month(text) for text in given]
    except InvalidMonth as error:
        fail(error.detail, 2)


@contextmanager
def _progress(month: str) -> Iterator[OnStep]:
    """Show how far a month is, where there is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(month, total=None)

        def told(step: str, done: int, total: int) -> None:
            bar.update(task, description=f"{month} {step}", completed=done, total=total or None)

        yield told


def _tell(outcomes: Sequence[Outcome], as_json: bool, nothing: str) -> None:
    if as_json:
        _print_json([{**asdict(one), "month": str(one.month)} for one in outcomes])
        return
    for one in outcomes:
        size = f" in {one.files} files of {decimal(one.bytes)}" if one.files else ""
        reason = f": {one.reason}" if one.reason else ""
        events = f", {one.rows:,} events" if one.rows else ""
        hint = ". --force archives it all the same" if one.result == "left" else ""
        console.print(f"{one.month}: {one.result}{reason}{events}{size}{hint}")
    if not outcomes and nothing:
        console.print(nothing)


def _print_json(what: Any) -> None:
    sys.stdout.write(json.dumps(what, indent=2, default=str) + "\n")


def convert(
    table: Annotated[str, typer.Argument(help="An ordinary table of the database.")],
    column: Annotated[str, typer.Option(help="Its column of time.")] = "timestamp",
    yes: Yes = False,
    data_dir: DataDirOption = None,
) -> None:
    """Make a [b]monthly partitioned[/b] table of an ordinary one with data, while others use it.

    Its rows are copied beside it, changes are mirrored meanwhile, and the two exchange their names in an instant. Needs
    the table's disk space once more. The old table stays as TABLE_unpartitioned until you drop it. Safe to interrupt
    and to repeat.
    """
    from auto_insurance.infra.db import partitions_convert  # noqa: PLC0415 - slow to load, not for --help

    if not yes:
        typer.confirm(f"Convert {table} to monthly partitions by {column}?", abort=True)

    async def work(database: Database, _: ArchiveOptions) -> partitions_convert.Converted:
        with _progress(table) as told:
            return await partitions_convert.convert(database, table, column=column, on_step=told)

    done = _run(data_dir, work)
    console.print(f"{table}: {done.rows:,} rows in {done.partitions} partitions.")
    console.print(f"The old table is {done.kept}. When all is well: DROP TABLE {done.kept};")
