"""Commands about claims."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from auto_insurance.entrypoints.cli.output import console, errors, fail, settings_or_exit
from auto_insurance.entrypoints.cli.signin import DataDirectory

if TYPE_CHECKING:
    from auto_insurance.claims.service import ClaimService
    from auto_insurance.infra.db.uow import Database

PAGE = 200


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data_dir: DataDirectory = None,
) -> None:
    """Check the frozen evidence of all claims against its checksums.

    Ends with code 1 if the evidence of a claim is not as it was frozen, and names the claim.
    """
    from auto_insurance.entrypoints.cli.admin import database_url  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.infra.logging import configure_logging  # noqa: PLC0415

    configure_logging(json=False, level="WARNING", stream=sys.stderr)
    url = database_url(settings_or_exit({"DATA_DIR": data_dir}))
    if url is None:
        fail("There is no database: set DATABASE_URL, or start 'auto-insurance up' first.", 2)
    checked, damaged = asyncio.run(_verify(url))
    if as_json:
        console.print_json(json.dumps({"checked": checked, "damaged": damaged}))
    else:
        console.print(f"{checked} claims with evidence checked, {len(damaged)} not as frozen.")
        for claim_id in damaged:
            console.print(claim_id)
    if damaged:
        raise typer.Exit(1)


async def _verify(url: str) -> tuple[int, list[str]]:
    from auto_insurance import bootstrap  # noqa: PLC0415 - as above
    from auto_insurance.claims.service import ClaimService  # noqa: PLC0415

    container = bootstrap.build(settings_or_exit({"DATABASE_URL": url}), "cli")
    try:
        return await _walk(container.database, container.get(ClaimService))
    finally:
        await container.close()


async def _walk(database: Database, claims: ClaimService) -> tuple[int, list[str]]:
    """Check piece by piece, a transaction each: a book of any size takes little memory."""
    columns = (SpinnerColumn(), TextColumn("{task.completed} claims"), TimeElapsedColumn())
    damaged: list[str] = []
    checked, after = 0, ""
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("claims", total=None)
        while True:
            async with database.read() as uow:
                page, found = await claims.damaged(uow, after, PAGE)
            checked, damaged = checked + len(page), damaged + found
            bar.update(task, completed=checked)
            if len(page) < PAGE:
                return checked, damaged
            after = page[-1]
