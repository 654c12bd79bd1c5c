"""The commands ``audit``: does the chain hold, here or in a file, and a copy of it for others."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from auto_insurance.audit.chain import Anchor, Verifier, export_head, export_line, parse_anchor, verify_lines
from auto_insurance.entrypoints.cli.lookup import AsJson, print_json, print_table, say, with_container
from auto_insurance.entrypoints.cli.output import EXIT_PROBLEM, errors, fail
from auto_insurance.entrypoints.cli.signin import DataDirectory

if TYPE_CHECKING:
    from auto_insurance.audit.service import Checked
    from auto_insurance.bootstrap import Container

Anchors = Annotated[
    list[str] | None,
    typer.Option("--anchor", help="NUMBER:HASH that you noted before, or a file of anchors. May be repeated."),
]


def verify(
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", dir_okay=False, allow_dash=True, help="An export, - for input."),
    ] = None,
    anchor: Anchors = None,
    as_json: AsJson = False,
    data_dir: DataDirectory = None,
) -> None:
    """Verify the [b]audit log[/b]: any row changed, missing, added, moved or cut off is named.

    With --file an export is verified: without a database, by the standard library alone. A chain that was cut off at
    its end, or written anew as a whole, shows against an anchor from elsewhere only. Ends with 0 if all is well.
    """
    known = _anchors(anchor or ())
    waiting = 0
    if file is not None:
        verifier = _verify_file(file, known)
    else:
        checked = _verify_database(known, data_dir)
        verifier, waiting = checked.verifier, checked.waiting
    _tell(verifier, waiting, as_json)
    if verifier.found:
        raise typer.Exit(EXIT_PROBLEM)


def export(
    output: Annotated[
        Path, typer.Option("--output", "-o", dir_okay=False, allow_dash=True, help="File to write, - for the screen.")
    ],
    after: Annotated[int, typer.Option(min=0, help="Only the rows that follow this number.")] = 0,
    data_dir: DataDirectory = None,
) -> None:
    """Write the chained rows as [b]JSON lines[/b], to be kept elsewhere and verified there with --file."""
    try:
        out = sys.stdout if str(output) == "-" else output.open("w", encoding="utf-8")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")

    async def work(container: Container) -> Anchor:
        from auto_insurance.audit.service import closings_at, place, rows_after  # noqa: PLC0415 - slow to load, not for --help

        last = await place(container.database, after)
        out.write(export_head(last, await closings_at(container.database, last.number)) + "\n")
        with _bar("Exporting") as bar:
            task = bar.add_task("rows", total=None)
            async for row, opened in rows_after(container.database, last.number):
                out.write(export_line(row, opened) + "\n")
                last = Anchor(row.number, row.hash)
                bar.advance(task)
        return last

    try:
        last = with_container(work, data_dir)
        out.flush()
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")
    finally:
        if out is not sys.stdout:
            out.close()
    errors.print(f"Rows up to number {last.number}. Note this anchor elsewhere: {last}")


def anchor(data_dir: DataDirectory = None, as_json: AsJson = False) -> None:
    """Print the [b]anchor[/b] of the log as it is now, to be noted where nobody here can change it."""

    async def work(container: Container) -> Anchor:
        from auto_insurance.audit.service import place  # noqa: PLC0415 - as above

        return await place(container.database, 2**62)

    head = with_container(work, data_dir)
    if as_json:
        print_json({"number": head.number, "hash": head.hash.hex()})
    else:
        say(str(head))


def _verify_file(file: Path, known: dict[int, bytes]) -> Verifier:
    try:
        if str(file) == "-":
            return verify_lines(_lines(sys.stdin), known)
        with file.open(encoding="utf-8", errors="replace") as lines, _bar("Verifying") as bar:
            task = bar.add_task("bytes", total=file.stat().st_size)

            def counted() -> Iterator[str]:
                for line in _lines(lines):
                    bar.advance(task, len(line))
                    yield line

            return verify_lines(counted(), known)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")


def _lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if line.strip():
            yield line


def _verify_database(known: dict[int, bytes], data_dir: Path | None) -> Checked:
    async def work(container: Container) -> Checked:
        from auto_insurance.audit.service import check_all, place  # noqa: PLC0415 - as above

        last = await place(container.database, 2**62)
        with _bar("Verifying") as bar:
            task = bar.add_task("rows", total=last.number)
            return await check_all(
                container.database, known, progress=lambda number: bar.update(task, completed=number)
            )

    return with_container(work, data_dir)


def _bar(text: str) -> Progress:
    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)


def _anchors(given: Iterable[str]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for text in given:
        file = Path(text)
        try:
            lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else [text]
            anchors = [parse_anchor(line) for line in lines if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            fail(f"--anchor: {text} cannot be read: {error}", 2)
        except ValueError as error:
            fail(f"--anchor: {text} is neither NUMBER:HASH nor a file of anchors: {error}", 2)
        for one in anchors:
            if found.setdefault(one.number, one.hash) != one.hash:
                fail(f"--anchor: two different hashes are given for row {one.number}.", 2)
    return found


def _tell(seen: Verifier, waiting: int, as_json: bool) -> None:
    faults = [{"number": one.number, "damage": one.damage.value, "detail": one.detail} for one in seen.faults]
    if as_json:
        head = {"number": seen.head.number, "hash": seen.head.hash.hex()}
        counts = {"after": seen.after.number, "rows": seen.rows, "erased": seen.erased, "waiting": waiting}
        print_json({"intact": not seen.found, **counts, "head": head, "faults": faults, "faults_found": seen.found})
        return
    if seen.found:
        print_table(("row", "damage", "what is wrong"), [tuple(one.values()) for one in faults], ("row",))
        say(f"The chain is broken in {seen.found} places. Rows looked at: {seen.rows}.", "bold red")
        return
    start = f" after row {seen.after.number}" if seen.after.number else ""
    say(f"The chain holds{start}: {seen.rows} rows, {seen.erased} seals of people that were erased.", "green")
    if waiting:
        say(f"Not in the chain yet: {waiting} rows.")
    say(f"Anchor: {seen.head}")
