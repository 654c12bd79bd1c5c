"""Commands about the installation: migrate, config, version."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from auto_insurance import __version__
from auto_insurance.entrypoints.cli.output import console, errors, fail, settings_or_exit, show

if TYPE_CHECKING:
    from auto_insurance.infra.config import Settings

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of the embedded engines (DATA_DIR).", show_default=".data")
]


def migrate(
    data_dir: DataDirOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 when migrations are missing.")
    ] = False,
) -> None:
    """Bring the [b]database schema[/b] up to date. Safe to repeat; works on DATABASE_URL or on a running `up`."""
    from auto_insurance.entrypoints.cli.schema import revisions  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.infra.db import migrate as alembic  # noqa: PLC0415

    url = database_url(settings_or_exit({"DATA_DIR": data_dir}))
    if url is None:
        fail("There is no database: set DATABASE_URL, or start 'auto-insurance up' first.", 2)
    try:
        with errors.status("Looking at the schema ..."):
            present, wanted = revisions(url)
    except (OSError, ValueError) as error:
        fail(f"The database cannot be reached: {error}")
    if present == wanted:
        console.print(f"The schema is up to date ({wanted}).")
    elif check:
        fail(f"The schema is at {present or 'nothing'}, the program needs {wanted}. Run: auto-insurance migrate")
    else:
        with errors.status("Migrating ..."):
            alembic.upgrade(url)
        console.print(f"Migrated from {present or 'nothing'} to {wanted}.")


def config(
    data_dir: DataDirOption = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from the defaults.")] = False,
) -> None:
    """Print all [b]settings[/b] with their values and where each comes from. Secrets are masked."""
    from auto_insurance.infra.config import describe  # noqa: PLC0415 - slow to load, not for --help

    rows = describe(settings_or_exit({"DATA_DIR": data_dir}))
    table = Table("Setting", "Value", "Source", "Meaning", box=None, pad_edge=False, header_style="bold")
    theme = ""
    for row in rows:
        if changed and row.source == "default":
            continue
        if row.theme != theme:
            theme = row.theme
            table.add_row(Text(theme, style="dim italic"))
        source = Text(row.source, style="dim" if row.source.startswith("default") else "green")
        table.add_row(Text(row.name, style="cyan"), Text(row.value), source, Text(row.help, style="dim"))
    show(table)


def version() -> None:
    """Print the version."""
    console.print(f"auto-insurance {__version__} (Python {platform.python_version()}, {platform.platform(terse=True)})")


def database_url(settings: Settings) -> str | None:
    """Return the address of the database that the settings or a running ``up`` name, else None."""
    from auto_insurance.infra.embedded.running import find_running  # noqa: PLC0415

    if settings.database.url is not None:
        return settings.database.url.get_secret_value()
    running = find_running(settings.data_dir)
    return running.database_url if running is not None else None
