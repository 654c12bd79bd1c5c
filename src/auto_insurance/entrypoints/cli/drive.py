"""The commands that send drives: recorded ones (replay) and made-up ones (simulate)."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from auto_insurance.entrypoints.cli.output import console, errors, fail, settings_or_exit

Url = Annotated[
    str | None, typer.Option(help="Address of the API; the default is the running `up`, else HOST and PORT.")
]
Username = Annotated[str, typer.Option(help="A member of staff; needed to register what is not known yet.")]


def replay(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Parquet, CSV or GPX files.")],
    url: Url = None,
    username: Username = "admin",
    password_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="File with the password of that user.")
    ] = None,
    speed_up: Annotated[
        float | None,
        typer.Option(min=0.1, help="Shift the drives to now and send them this much faster than they were driven."),
    ] = None,
) -> None:
    """Send [b]recorded drives[/b] to the public API, as a device would, and show what became of them.

    Without --speed-up they are imported in their own time, as fast as the server takes them. Sending the same file
    again adds nothing.
    """
    from auto_insurance.devicekit import replay as engine  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.devicekit.provision import StaffError  # noqa: PLC0415
    from auto_insurance.devicekit.readers import DriveFileError  # noqa: PLC0415
    from auto_insurance.entrypoints.cli.replayed import render  # noqa: PLC0415

    options = engine.ReplayOptions(
        files=files, base_url=base_url(url), username=username, password=_password(password_file), speed_up=speed_up
    )
    try:
        with _progress("Sending events") as bar:
            report = asyncio.run(engine.replay(options, bar))
    except (DriveFileError, StaffError) as error:
        fail(str(error))
    console.print(render(report), soft_wrap=False)
    if not report.complete or any(drive.error for drive in report.drives):
        raise typer.Exit(1)


def simulate(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the events, one JSON per line; - prints them.")
    ],
    drivers: Annotated[int, typer.Option(min=1, max=100_000, help="Size of the fleet.")] = 20,
    days: Annotated[float, typer.Option(min=0.01, max=366, help="How long the fleet drives.")] = 1.0,
    start: Annotated[
        datetime | None, typer.Option(help="First instant, UTC; the default lies --days before now.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same drives.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many events.")] = None,
) -> None:
    """Make the drives of a [b]simulated fleet[/b] (1 Hz, named driver styles) in the form that the API takes.

    `auto-insurance up --demo` drives such a fleet live against the system.
    """
    from auto_insurance.devicekit.simulator.fleet import Fleet, FleetOptions  # noqa: PLC0415 - not for --help
    from auto_insurance.kernel import clock  # noqa: PLC0415

    now = clock.now()
    begin = start.replace(tzinfo=now.tzinfo) if start is not None else now - timedelta(days=days)
    fleet = Fleet(FleetOptions(seed=seed, size=drivers))
    events = (event for _, event in fleet.stream(begin, begin + timedelta(days=days)))
    with _target(output) as file, _counter("simulated events") as bar:
        written = _write(itertools.islice(events, limit), file, bar)
    errors.print(f"{written:,} simulated events of {drivers} drivers.")


def _write(events: Iterator[dict[str, Any]], file: IO[str], bar: Any) -> int:
    count = 0
    for count, event in enumerate(events, 1):
        file.write(json.dumps(event, separators=(",", ":")) + "\n")
        if count % 1000 == 0:
            bar(count)
    return count


@contextmanager
def _target(output: Path) -> Iterator[IO[str]]:
    if str(output) == "-":
        yield sys.stdout
        return
    try:
        with output.open("w") as file:
            yield file
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")


@contextmanager
def _counter(what: str) -> Iterator[Any]:
    columns = (TextColumn("{task.completed:,} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def _progress(what: str) -> Iterator[Any]:
    """A bar as a function ``(done, total)``."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total=None: progress.update(task, completed=done, total=total)


def base_url(url: str | None) -> str:
    """Return the API's address: the given one, the running ``up``'s, or the settings'."""
    from auto_insurance.infra.embedded.running import find_running  # noqa: PLC0415 - not for --help

    if url is not None:
        return url.rstrip("/")
    settings = settings_or_exit()
    running = find_running(settings.data_dir)
    return running.base_url if running else f"http://{settings.server.host}:{settings.server.port}"


def _password(file: Path | None) -> str:
    if file is not None:
        return file.read_text().strip()
    return str(typer.prompt("Password", hide_input=True, err=True))
