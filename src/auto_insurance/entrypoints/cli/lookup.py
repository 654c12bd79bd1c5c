"""What the commands that look into a database share: its address, a session with it, tables or JSON on the screen."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from auto_insurance.entrypoints.cli.admin import database_url
from auto_insurance.entrypoints.cli.output import console, fail, settings_or_exit, show

if TYPE_CHECKING:
    from auto_insurance.bootstrap import Container

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
T = TypeVar("T")


def with_container(work: Callable[[Container], Awaitable[T]], data_dir: Path | None = None) -> T:
    """Compose the product on the database of the settings or of a running ``up`` and do some work on it.

    Ends the program with a plain message where there is no database or it gives no answer.
    """
    from auto_insurance import bootstrap  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.entrypoints.cli.schema import revisions  # noqa: PLC0415
    from auto_insurance.infra.logging import configure_logging  # noqa: PLC0415
    from auto_insurance.kernel.errors import AppError  # noqa: PLC0415

    configure_logging(json=False, level="WARNING", stream=sys.stderr)
    url = database_url(settings_or_exit({"DATA_DIR": data_dir}))
    if url is None:
        fail("There is no database: set DATABASE_URL, or start 'auto-insurance up' first.", 2)
    try:
        present, wanted = revisions(url)
    except (OSError, ValueError) as error:
        fail(f"The database cannot be reached: {error}")
    if present != wanted:
        fail(f"The schema is at {present or 'nothing'}, the program needs {wanted}. Run: auto-insurance migrate")
    settings = settings_or_exit({"DATA_DIR": data_dir, "DATABASE_URL": url})

    async def run() -> T:
        container = bootstrap.build(settings, "command")
        try:
            return await work(container)
        finally:
            await container.close()

    try:
        return asyncio.run(run())
    except AppError as error:
        fail(error.detail)


def print_json(value: Any) -> None:
    """Print a value as JSON; times in ISO form."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], numbers: Sequence[str] = ()) -> None:
    """Print rows under their headings; columns named in ``numbers`` stand to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row))
    show(table)


def say(message: str, style: str = "") -> None:
    """Print a line."""
    console.print(Text(message, style=style))


def size(count: float) -> str:
    """Return bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TB"
