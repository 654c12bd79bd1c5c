"""The command that scores drivers."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from auto_insurance.entrypoints.cli.output import console, errors, fail, settings_or_exit, show
from auto_insurance.entrypoints.cli.signin import DataDirectory

if TYPE_CHECKING:
    from auto_insurance.infra.db.uow import Database
    from auto_insurance.risk.book import BookScoring
    from auto_insurance.risk.service import RiskService


def score(
    drivers: Annotated[list[str] | None, typer.Argument(help="Ids of drivers, such as DRV001.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Score the whole book.")] = False,
    restart: Annotated[
        bool, typer.Option(help="With --all: begin anew, instead of going on with a run that was cut off.")
    ] = False,
    data_dir: DataDirectory = None,
) -> None:
    """Score drivers [b]now[/b] and keep the scores; indicated premiums follow.

    A run over the whole book commits in pieces: what was cut off goes on where it stopped.
    """
    if bool(drivers) == everybody:
        fail("Name drivers, or say --all.", 2)
    from auto_insurance.entrypoints.cli.admin import database_url  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.infra.logging import configure_logging  # noqa: PLC0415
    from auto_insurance.kernel.errors import AppError  # noqa: PLC0415

    configure_logging(json=False, level="WARNING", stream=sys.stderr)
    url = database_url(settings_or_exit({"DATA_DIR": data_dir}))
    if url is None:
        fail("There is no database: set DATABASE_URL, or start 'auto-insurance up' first.", 2)
    try:
        asyncio.run(_score(url, drivers or [], restart))
    except AppError as error:
        fail(error.detail)


async def _score(url: str, driver_ids: list[str], restart: bool) -> None:
    from auto_insurance import bootstrap  # noqa: PLC0415 - as above
    from auto_insurance.risk.book import BookScoring  # noqa: PLC0415
    from auto_insurance.risk.service import RiskService  # noqa: PLC0415

    container = bootstrap.build(settings_or_exit({"DATABASE_URL": url}), "cli")
    try:
        if driver_ids:
            await _named(container.database, container.get(RiskService), driver_ids)
        else:
            simulated = container.get(RiskService).model.assumption_based
            await _book(container.get(BookScoring), restart, simulated)
    finally:
        await container.close()


async def _named(database: Database, risk: RiskService, driver_ids: list[str]) -> None:
    table = Table("Driver", "Score", "Category", "Confidence", "Miles", "Claims per million miles", "Claims behind it")
    async with database.begin() as uow:
        for driver_id in dict.fromkeys(driver_ids):
            made = await risk.recalculate(uow, driver_id, "asked for")
            table.add_row(
                driver_id,
                f"{made.risk_score:.2f}",
                made.risk_category,
                f"{made.confidence:.2f}",
                f"{made.exposure_miles:,.1f}",
                f"{made.expected_claims_per_million_miles:.3f}",
                "simulated" if made.simulated else "observed",
            )
    show(table)
    console.print(f"Model {risk.model.version}. {risk.model.trained_on}")


async def _book(book: BookScoring, restart: bool, simulated: bool) -> None:
    columns = (TextColumn("Scoring"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=not errors.is_terminal) as bar:
        task = bar.add_task("drivers", total=None)
        run = await book.run(
            "asked for", restart=restart, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    console.print(f"{run.scored:,} drivers scored by {run.model_version}; the score of {run.told:,} moved.")
    if simulated:
        console.print("The model rests on assumed or simulated claims, not on observed ones.", style="yellow")
