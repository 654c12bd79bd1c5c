"""The command that makes the training data set from our own tables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from auto_insurance.entrypoints.cli.lookup import AsJson, print_json, say, with_container
from auto_insurance.entrypoints.cli.output import EXIT_CONFIGURATION, errors, fail
from auto_insurance.entrypoints.cli.signin import DataDirectory
from auto_insurance.risk.periods import PeriodKind

if TYPE_CHECKING:
    from auto_insurance.bootstrap import Container
    from auto_insurance.risk.dataset import Dataset

DAY = ["%Y-%m-%d"]


def dataset(
    since: Annotated[datetime, typer.Option("--from", formats=DAY, help="First day of cover and claims, UTC.")],
    until: Annotated[datetime, typer.Option("--to", formats=DAY, help="The day after the last one.")],
    output: Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="File to write, .parquet or .csv.")],
    period: Annotated[PeriodKind, typer.Option(help="What a row is: a calendar month or a policy's term.")] = (
        PeriodKind.MONTH
    ),
    known_by: Annotated[
        datetime | None, typer.Option("--known-by", formats=DAY, help="Only claims reported before this day.")
    ] = None,
    data_dir: DataDirectory = None,
    as_json: AsJson = False,
) -> None:
    """Write the [b]training data[/b] of our own book: insured driver-periods, how they drove, which claims followed.

    A row has the insured time and miles of its period, the claims that occurred in it, and the driving features as they
    were when it began: training never sees later trips. The file is what 'risk train' takes.
    """
    if until <= since:
        fail("--to must be after --from.", EXIT_CONFIGURATION)
    if output.suffix not in {".parquet", ".csv"}:
        fail(f"{output}: say .parquet or .csv.", EXIT_CONFIGURATION)
    from auto_insurance.drivers.service import DriverService  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.risk.dataset import DatasetBuilder, DatasetRequest  # noqa: PLC0415
    from auto_insurance.risk.service import RiskService  # noqa: PLC0415
    from auto_insurance.trips.service import TripService  # noqa: PLC0415

    wanted = DatasetRequest(_utc(since), _utc(until), period, None if known_by is None else _utc(known_by))

    async def work(container: Container) -> Dataset:
        risk = container.get(RiskService)
        builder = DatasetBuilder(
            container.get(TripService), container.get(DriverService), risk.loaded.exposure, risk.window_days
        )
        columns = (TextColumn("Driver-periods"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors, transient=not errors.is_terminal) as bar:
            task = bar.add_task("rows", total=None)
            async with container.database.read() as uow:
                return await builder.build(
                    uow, wanted, lambda done, total: bar.update(task, completed=done, total=total)
                )

    made = with_container(work, data_dir)
    try:
        made.frame.write_csv(output) if output.suffix == ".csv" else made.frame.write_parquet(output)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror or error}")
    if as_json:
        print_json(_figures(made))
    else:
        _tell(made, output)


def _figures(made: Dataset) -> dict[str, object]:
    return {
        "rows": len(made.frame),
        "drivers": made.drivers,
        "insured_years": round(float(made.frame["exposure_years"].sum()), 3),
        "miles": round(float(made.frame["miles"].sum()), 1),
        "claims": made.claims,
        "left_out": {
            "rows_without_miles": made.without_driving,
            "claims_in_rows_without_miles": made.claims_without_driving,
            "claims_without_cover": made.claims_without_cover,
        },
    }


def _tell(made: Dataset, output: Path) -> None:
    figures = _figures(made)
    say(
        f"{len(made.frame):,} driver-periods of {made.drivers:,} drivers: {figures['insured_years']:,} insured years, "
        f"{figures['miles']:,} miles, {made.claims:,} claims. Written to {output}."
    )
    if made.without_driving or made.claims_without_cover:
        say(
            f"Left out: {made.without_driving:,} periods without a recorded mile ({made.claims_without_driving:,} "
            f"claims), {made.claims_without_cover:,} claims outside of any cover.",
            "yellow",
        )


def _utc(day: datetime) -> datetime:
    return day.replace(tzinfo=UTC)
