"""What all commands share: the consoles, plain error messages, settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from auto_insurance.infra.config import Settings

_PIPED_WIDTH = 160
"""Columns of what is not printed on a terminal: nothing is cut off in a file or a pipe."""

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

EXIT_PROBLEM = 1
EXIT_CONFIGURATION = 2


def show(what: RenderableType) -> None:
    """Print a table: as wide as the terminal, or wide enough for everything where there is none."""
    wide = console if console.is_terminal else Console(highlight=False, width=max(console.width, _PIPED_WIDTH))
    wide.print(what, soft_wrap=False)


def fail(message: str, code: int = EXIT_PROBLEM) -> NoReturn:
    """Say on standard error what is wrong, and end with the code."""
    errors.print(Text.assemble(("Error: ", "bold red"), message))
    raise typer.Exit(code)


def write_text(file: Path, text: str) -> None:
    """Write a file, or print for ``-``. Ends the program with a plain message where that can't be."""
    if str(file) == "-":
        sys.stdout.write(text)
        return
    try:
        file.write_text(text)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")


def settings_or_exit(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings; name what is wrong with them and end with code 2. None values override nothing."""
    from auto_insurance.infra.config import ConfigError, load_settings  # noqa: PLC0415 - slow to load, not for --help

    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        settings = load_settings(overrides=given)
    except ConfigError as error:
        fail(str(error), EXIT_CONFIGURATION)
    for warning in settings.warnings:
        errors.print(Text.assemble(("Warning: ", "yellow"), warning))
    return settings
