"""The commands about people who sign in."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from auto_insurance.entrypoints.cli.admin import database_url
from auto_insurance.entrypoints.cli.output import console, fail, settings_or_exit
from auto_insurance.entrypoints.cli.signin import DataDirectory, ask, read_secret


def create_admin(
    username: Annotated[str, typer.Argument(help="Name to sign in with.")],
    email: Annotated[str | None, typer.Option(help="E-mail address.")] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, allow_dash=True, help="File with the password, - for standard input; else it asks."
        ),
    ] = None,
    data_dir: DataDirectory = None,
) -> None:
    """Create an [b]administrator[/b] in the database of DATABASE_URL or of a running `up`.

    The password never comes from the command line: others on the machine could read it there.
    """
    from auto_insurance.entrypoints.cli.schema import revisions  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.identity.schemas import USERNAME_PATTERN  # noqa: PLC0415
    from auto_insurance.infra.logging import configure_logging  # noqa: PLC0415
    from auto_insurance.kernel.errors import AppError  # noqa: PLC0415

    if not re.fullmatch(USERNAME_PATTERN, username):
        fail(f"'{username}' is no user name: 3 to 64 letters, digits and . _ @ + -, the first a letter or digit.", 2)
    address = None if email is None else _checked_email(email)
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
    question = f"Password of {username}"
    password = read_secret(password_file) if password_file is not None else ask(question, confirm=True)
    try:
        asyncio.run(_create(url, username, password, address))
    except AppError as error:
        fail(error.detail + "".join(f" {field.message}" for field in error.errors if field.message != error.detail))
    console.print(f"The administrator {username} can sign in now.")


def _checked_email(email: str) -> str:
    from pydantic import EmailStr, TypeAdapter, ValidationError  # noqa: PLC0415 - slow to load, not for --help

    try:
        return str(TypeAdapter(EmailStr).validate_python(email))
    except ValidationError:
        fail("The value of --email is no e-mail address.", 2)


async def _create(url: str, username: str, password: str, email: str | None) -> None:
    from auto_insurance.identity.service import Passwords, UserService  # noqa: PLC0415 - slow to load, not for --help
    from auto_insurance.infra.db.engine import EngineOptions, create_engine  # noqa: PLC0415
    from auto_insurance.infra.db.uow import Database  # noqa: PLC0415

    passwords = Passwords()
    database = Database(create_engine(EngineOptions(url, pool_size=1, max_overflow=0, application_name="users")))
    try:
        async with database.begin() as uow:
            await UserService(database, passwords).create_admin(uow, username, password, email)
    finally:
        passwords.close()
        await database.dispose()
