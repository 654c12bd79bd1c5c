"""Which server a command talks to, and as whom: given by options, else found out about the running ``up``."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auto_insurance.entrypoints.cli.output import fail, settings_or_exit

if TYPE_CHECKING:
    from auto_insurance.infra.config import Settings
    from auto_insurance.infra.embedded.running import Addresses

STAFF = "admin"
MAX_PASSWORD_BYTES = 4096
TRIES = 3
"""Looks at a server before it counts as away: a busy one may take its time."""

Url = Annotated[
    str | None, typer.Option(help="Address of the API.", show_default="the running `up`, else HOST and PORT")
]
Username = Annotated[
    str | None, typer.Option(help="A member of staff, who registers drivers and devices.", show_default=STAFF)
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        dir_okay=False,
        allow_dash=True,
        help="File with that user's password, - for standard input.",
        show_default="found",
    ),
]
DataDirectory = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of the running `up` (DATA_DIR).", show_default=".data")
]


@dataclass(frozen=True, slots=True)
class Target:
    """A server and who we are there."""

    base_url: str
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What the options say; None is to be found out."""

    url: str | None = None
    username: str | None = None
    password_file: Path | None = None
    data_dir: Path | None = None


def find_target(wish: Wish) -> Target:
    """Return the server, which answers, and credentials. Ends the program with a plain message when there is none.

    Without a password file: a demo's known ones, else the data directory's secret, but both only for the ``up`` that
    runs on that directory, never for another address; else it asks, or says how to go on without a terminal.
    """
    from auto_insurance.entrypoints.cli.stack import answers, own_url  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.infra.embedded.running import find_running  # noqa: PLC0415

    settings = settings_or_exit({"DATA_DIR": wish.data_dir})
    running = find_running(settings.data_dir)
    url = (wish.url or (running.base_url if running else own_url(settings))).rstrip("/")
    if not url.startswith(("http://", "https://")):
        fail(f"{url} is no address: it must begin with http:// or https://.", 2)
    if not any(asyncio.run(answers(f"{url}/live")) for _ in range(TRIES)):
        fail(
            f"There is no answer from {url}. Start the system with 'auto-insurance up', or name its address with --url "
            "(and --data-dir, if it runs on another folder)."
        )
    if wish.password_file is not None:
        return Target(url, wish.username or STAFF, read_secret(wish.password_file))
    if running is not None and url == running.base_url and wish.username in {None, STAFF}:
        found = _first_that_works([Target(url, STAFF, word) for word in _known_passwords(settings, running)])
        if found is not None:
            return found
    username = wish.username or STAFF
    return Target(url, username, ask(f"Password of {username} at {url}"))


def read_secret(file: Path) -> str:
    """Return the first line of a file, of standard input for ``-``. Ends the program where there is none."""
    try:
        if str(file) == "-":
            text = sys.stdin.readline(MAX_PASSWORD_BYTES)
        else:
            with file.open() as lines:
                text = lines.readline(MAX_PASSWORD_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}", 2)
    secret = text.rstrip("\r\n")
    if not secret:
        fail(f"There is no password in {'standard input' if str(file) == '-' else file}.", 2)
    return secret


def ask(question: str, *, confirm: bool = False) -> str:
    """Ask for a password on the terminal. Ends the program without one."""
    if not sys.stdin.isatty():
        fail("A password is needed and there is no terminal to ask for it: give --password-file FILE.", 2)
    return str(typer.prompt(question, hide_input=True, err=True, confirmation_prompt=confirm))


def _known_passwords(settings: Settings, running: Addresses) -> list[str]:
    from auto_insurance.entrypoints.cli.stack import ADMIN_SECRET  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.entrypoints.cli.up import DEMO_LOGINS  # noqa: PLC0415
    from auto_insurance.infra.embedded.datadir import DataDir  # noqa: PLC0415

    secret = DataDir(settings.data_dir).kept_secret(ADMIN_SECRET)
    return [*([DEMO_LOGINS[0][1]] if running.demo else []), *([secret] if secret else [])]


def _first_that_works(candidates: list[Target]) -> Target | None:
    """A data directory may have been a demo's first: then the account ``admin`` has another password than now known."""
    return next((target for target in candidates if asyncio.run(_works(target))), None)


async def _works(target: Target) -> bool:
    from auto_insurance.devicekit.provision import Staff, StaffError  # noqa: PLC0415 - slow to load, not for --help

    try:
        async with Staff(target.base_url, target.username, target.password):
            return True
    except StaffError:
        return False
