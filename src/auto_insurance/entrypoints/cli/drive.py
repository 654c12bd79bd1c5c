"""The command ``replay``: recorded drives, sent as a device would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from auto_insurance.entrypoints.cli.output import errors, fail, show, write_text
from auto_insurance.entrypoints.cli.signin import DataDirectory, PasswordFile, Url, Username, Wish, find_target

INTERRUPTED = 130


def replay(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Parquet, CSV or GPX files.")],
    url: Url = None,
    username: Username = None,
    password_file: PasswordFile = None,
    data_dir: DataDirectory = None,
    speed_up: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=100_000, help="Shift the drives to now and send them this much faster than they were driven."
        ),
    ] = None,
    state: Annotated[str, typer.Option(help="State of the drivers to enrol.")] = "IL",
    time_zone: Annotated[
        str | None,
        typer.Option(help="Time zone of the drivers to enrol.", show_default="by the longitude of the first position"),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, max=3600, help="Longest wait for the trips after the last upload, seconds.")
    ] = 180.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, allow_dash=True, help="Write the report there, too.")
    ] = None,
) -> None:
    """Send [b]recorded drives[/b] to the public API, as a device would, and show what became of them.

    Without --speed-up they are imported in their own time, as fast as the server takes them. Sending the same file
    again adds nothing. Against a running `up` of this folder no sign-in is needed. Exit code 1 when something that
    was accepted is not stored, or an upload failed.
    """
    from auto_insurance.devicekit import replay as engine  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.devicekit.provision import StaffError  # noqa: PLC0415
    from auto_insurance.devicekit.readers import DriveFileError  # noqa: PLC0415
    from auto_insurance.entrypoints.cli.replayed import as_json, render, succeeded  # noqa: PLC0415

    target = find_target(Wish(url, username, password_file, data_dir))
    options = engine.ReplayOptions(
        files=files,
        base_url=target.base_url,
        username=target.username,
        password=target.password,
        speed_up=speed_up,
        state=state,
        time_zone=time_zone,
        wait_s=wait,
    )
    try:
        with _bar() as bar:
            report = asyncio.run(engine.replay(options, bar))
    except (DriveFileError, StaffError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        errors.print("Interrupted. What was accepted is kept; sending the same files again adds nothing twice.")
        raise typer.Exit(INTERRUPTED) from None
    if json_file is not None:
        write_text(json_file, as_json(report))
    if str(json_file) != "-":
        show(render(report))
    if not succeeded(report):
        raise typer.Exit(1)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=not errors.is_terminal) as progress:
        task = progress.add_task("Reading the files", total=None)

        def advance(done: int, total: int) -> None:
            what = "Sending events" if done < total else "Sent; waiting for the trips"
            progress.update(task, completed=done, total=total, description=what)

        yield advance
