"""The commands ``audit months`` and ``audit drop``: what the retention lets leave, and doing it now."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auto_insurance.entrypoints.cli.lookup import AsJson, print_json, print_table, say, with_container
from auto_insurance.entrypoints.cli.output import errors, fail
from auto_insurance.entrypoints.cli.signin import DataDirectory
from auto_insurance.kernel import clock

if TYPE_CHECKING:
    from auto_insurance.audit.service import Month
    from auto_insurance.bootstrap import Container

Before = Annotated[
    str | None,
    typer.Option(help="First month that stays, such as 2016-01 (UTC); by default AUDIT_RETENTION_MONTHS decides."),
]


def months(before: Before = None, as_json: AsJson = False, data_dir: DataDirectory = None) -> None:
    """List the months of the audit log that would [b]leave[/b]. Changes nothing."""
    until = _month(before)

    async def work(container: Container) -> list[Month]:
        from auto_insurance.audit.service import AuditRetention  # noqa: PLC0415 - slow to load, not for --help

        return await container.get(AuditRetention).due(until)

    _show(with_container(work, data_dir), as_json)


def drop(
    before: Before = None,
    folder: Annotated[
        Path | None,
        typer.Option("--to", file_okay=False, help="Write each month there before; default AUDIT_RETENTION_DIR."),
    ] = None,
    without_copy: Annotated[
        bool, typer.Option("--without-copy", help="Let months leave with no copy of them.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would leave, change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data_dir: DataDirectory = None,
) -> None:
    """Let old months of the audit log leave [b]for good[/b]. Safe to interrupt and to repeat.

    Each is verified, written to a file, closed by a record that the rest of the chain hangs on, and only then deleted.
    """
    if dry_run:
        months(before, False, data_dir)
        return
    until = _month(before)
    if not yes:
        typer.confirm("Delete these months of the audit log for good?", abort=True)

    async def work(container: Container) -> int | None:
        from auto_insurance.audit.service import AuditRetention  # noqa: PLC0415 - as above

        kept = container.get(AuditRetention)
        to = None if without_copy else folder or kept.folder
        if to is None and not without_copy:
            return None
        with errors.status("Looking"):
            return await AuditRetention(container.database, kept.months, to).run(until, _told)

    try:
        gone = with_container(work, data_dir)
    except OSError as error:
        fail(f"The copy cannot be written, the month stays: {error}")
    if gone is None:
        fail("Say where the months go (--to, AUDIT_RETENTION_DIR) or that no copy is wanted (--without-copy).", 2)
    say(f"{gone} rows have left.")


def _told(month: str, gone: int) -> None:
    errors.print(f"{month}: {gone} rows have left")


def _month(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        fail(f"--before: {text} is no month such as 2016-01.", 2)
    if found > clock.now():
        fail("--before: the months that are not over stay.", 2)
    return found


def _show(found: list[Month], as_json: bool) -> None:
    rows = [(one.month, one.after.number + 1, one.last, one.rows) for one in found]
    names = ("month", "first", "last", "rows")
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    elif rows:
        print_table(names, rows, names[1:])
    else:
        say("No month is old enough to leave.")
