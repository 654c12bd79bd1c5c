"""The command ``simulate``: a made-up fleet, into a file or against a server."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from auto_insurance.entrypoints.cli.output import console, errors, fail
from auto_insurance.entrypoints.cli.signin import DataDirectory, PasswordFile, Url, Username, Wish, find_target

if TYPE_CHECKING:
    from auto_insurance.entrypoints.cli.fleetrun import FleetPlan, FleetReport
    from auto_insurance.entrypoints.cli.signin import Target


Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Write the events there in place of sending them, one JSON a line; - prints them."
    ),
]
Drivers = Annotated[int, typer.Option(min=1, max=100000, help="Size of the fleet.")]
Days = Annotated[float, typer.Option(min=0.001, max=366, help="How long the fleet drives, up to now.")]
Start = Annotated[datetime | None, typer.Option(help="First instant, UTC.", show_default="so many --days before now")]
Live = Annotated[bool, typer.Option("--live", help="Then go on in real time until Ctrl-C.")]
SpeedUp = Annotated[float | None, typer.Option(min=1, help="At most so many simulated seconds a second in the past.")]
Steady = Annotated[
    int | None,
    typer.Option(min=1, max=100000, help="Instead: so many devices drive all the time, from now on for --days."),
]
Duplicates = Annotated[float, typer.Option(min=0, max=1, help="Share of the uploads that are sent twice.")]
Late = Annotated[float, typer.Option(min=0, max=1, help="Share of the uploads that come after the next one.")]
Style = Annotated[
    list[str] | None, typer.Option(metavar="NAME=SHARE", help="Share of a driver style; may be repeated.")
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same drives.")]
Limit = Annotated[int | None, typer.Option(min=1, help="With -o: stop after this many events.")]


def simulate(
    output: Output = None,
    drivers: Drivers = 20,
    days: Days = 1.0,
    start: Start = None,
    live: Live = False,
    speed_up: SpeedUp = None,
    steady: Steady = None,
    duplicates: Duplicates = 0.0,
    late: Late = 0.0,
    style: Style = None,
    seed: Seed = 1,
    limit: Limit = None,
    url: Url = None,
    username: Username = None,
    password_file: PasswordFile = None,
    data_dir: DataDirectory = None,
) -> None:
    """Drive a [b]simulated fleet[/b] (1 Hz, named driver styles) against a server, or write its events to a file.

    Drivers and devices are registered at first, and are called simulated. Against a running `up` of this folder no
    sign-in is needed. The same seed gives the same events, which are stored once only.
    """
    from auto_insurance.entrypoints.cli.fleetrun import FleetPlan  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.kernel import clock  # noqa: PLC0415

    now = clock.now()
    begin = start.replace(tzinfo=UTC) if start is not None else now - timedelta(days=days)
    plan = FleetPlan(
        seed=seed,
        drivers=drivers,
        styles=_mix(style or []),
        start=begin,
        until=begin + timedelta(days=days),
        speed_up=speed_up,
        duplicate_rate=duplicates,
        late_rate=late,
    )
    if output is not None:
        if live or steady:
            fail("--live and --steady send to a server; they can't be written with -o.", 2)
        _to_file(plan, output, limit)
        return
    if steady is not None:
        plan = replace(plan, drivers=steady, steady=True, live=True, start=now, until=now + timedelta(days=days))
    elif live:
        plan = replace(plan, live=True, until=None)
    elif plan.until is not None and plan.until > now:
        plan = replace(plan, until=now)
    _to_server(plan, find_target(Wish(url, username, password_file, data_dir)))


def _mix(words: list[str]) -> dict[str, float] | None:
    from auto_insurance.devicekit.simulator.style import STYLES  # noqa: PLC0415 - not for --help

    mix: dict[str, float] = {}
    for word in words:
        name, _, share = word.partition("=")
        try:
            mix[name] = float(share)
        except ValueError:
            fail(f"--style {word}: must be NAME=SHARE, such as calm=0.5.", 2)
        if name not in STYLES:
            fail(f"--style {word}: there is no such style. There are: {', '.join(STYLES)}.", 2)
        if not 0 < mix[name] <= 1000:
            fail(f"--style {word}: the share must be above 0.", 2)
    return mix or None


def _to_file(plan: FleetPlan, output: Path, limit: int | None) -> None:
    from auto_insurance.devicekit.simulator.fleet import Fleet  # noqa: PLC0415 - not for --help

    fleet = Fleet(plan.options())
    events = (event for _, event in fleet.stream(plan.start, plan.until))
    with _target(output) as file, _line("simulated events") as tell:
        written = _write(itertools.islice(events, limit), file, tell)
    errors.print(f"{written:,} simulated events of {plan.drivers} drivers.")


def _write(events: Iterator[dict[str, Any]], file: IO[str], tell: Callable[[str], None]) -> int:
    count = 0
    for count, event in enumerate(events, 1):
        file.write(json.dumps(event, separators=(",", ":")) + "\n")
        if count % 1000 == 0:
            tell(f"{count:,} simulated events")
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
def _line(first: str) -> Iterator[Callable[[str], None]]:
    """A line that says how far it is, as a function of the text."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(first, total=None)
        yield lambda text: progress.update(task, description=text)


def _to_server(plan: FleetPlan, target: Target) -> None:
    from auto_insurance.devicekit.client import UploadFailed  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.devicekit.provision import StaffError  # noqa: PLC0415
    from auto_insurance.kernel.errors import Unavailable  # noqa: PLC0415

    errors.print(Text(f"A simulated fleet of {plan.drivers:,} drivers drives against {target.base_url}."))
    try:
        report = asyncio.run(_drive(plan, target))
    except (StaffError, UploadFailed, Unavailable) as error:
        fail(f"{error}. What was accepted is kept; starting again adds nothing twice.")
    except (KeyboardInterrupt, asyncio.CancelledError):
        errors.print("Broken off at once. What was accepted is kept; starting again adds nothing twice.")
        raise typer.Exit(130) from None
    console.print(Text(summary(report)))
    for reason, count in report.reasons.most_common():
        errors.print(Text(f"  refused: {reason} x{count:,}", style="yellow"))
    if report.rejected:
        raise typer.Exit(1)


async def _drive(plan: FleetPlan, target: Target) -> FleetReport:
    from auto_insurance.entrypoints.cli.fleetrun import drive_fleet  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.entrypoints.cli.stack import Signals  # noqa: PLC0415

    stop, force = asyncio.Event(), asyncio.Event()
    Signals().watch(stop, force, lambda: errors.print("Stopping after the uploads under way (Ctrl-C again: at once)"))
    with _line("Making the simulated fleet") as tell:
        begun = monotonic()
        driving = asyncio.create_task(
            drive_fleet(target, plan, stop, lambda report: tell(line(report, plan, monotonic() - begun)))
        )
        hurry = asyncio.create_task(force.wait())
        await asyncio.wait({driving, hurry}, return_when=asyncio.FIRST_COMPLETED)
        for task in (driving, hurry):
            task.cancel()  # no effect on the one that is done
        await asyncio.gather(hurry, return_exceptions=True)
        return await driving


def line(report: FleetReport, plan: FleetPlan, seconds: float) -> str:
    """Return the progress as one line."""
    progress = report.progress
    if progress.simulated_at is None:
        return f"simulated | {report.enrolled + report.known:,} of {plan.drivers:,} drivers registered"
    rate = progress.events / max(seconds, 1e-9)
    return (
        f"simulated | at {progress.simulated_at:%Y-%m-%d %H:%M} UTC | {progress.events:,} events, "
        f"{progress.uploads:,} uploads | {rate:,.0f} events/s"
    )


def summary(report: FleetReport) -> str:
    """Return what became of the run as some lines."""
    progress = report.progress
    until = f", up to {progress.simulated_at:%Y-%m-%d %H:%M} UTC" if progress.simulated_at else ""
    return (
        f"{'Stopped' if report.interrupted else 'Done'}: {progress.events:,} simulated events in {progress.uploads:,} "
        f"uploads{until}, in {report.seconds:.1f} s.\n"
        f"{report.accepted:,} accepted, {report.rejected:,} rejected; {progress.duplicates:,} uploads sent twice, "
        f"{progress.late:,} late, {report.retries:,} tried again.\n"
        f"{progress.trips_started:,} trips begun, {progress.trips_ended:,} ended; "
        f"{report.enrolled:,} drivers enrolled, {report.known:,} known before."
    )
