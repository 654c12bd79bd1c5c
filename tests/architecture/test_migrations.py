"""The tables in code are the tables in the database."""

from __future__ import annotations

import asyncio
import re

from auto_insurance.bootstrap import metadata
from auto_insurance.infra.db import migrate


async def test_models_equal_migrations(database_url: str) -> None:
    await asyncio.to_thread(migrate.check, database_url, metadata())


def test_every_migration_limits_its_waits() -> None:
    for path in sorted((migrate.SCRIPTS / "versions").glob("0*.py")):
        source = path.read_text()
        for function in ("upgrade", "downgrade"):
            body = source.split(f"def {function}()", 1)[1].split("\ndef ", 1)[0]
            assert re.search(r"SET LOCAL lock_timeout", body), f"{path.name}: {function}"
            assert re.search(r"SET LOCAL statement_timeout", body), f"{path.name}: {function}"


async def test_down_and_up_again(database_url: str) -> None:
    await asyncio.to_thread(migrate.downgrade, database_url, "base")
    await asyncio.to_thread(migrate.upgrade, database_url)
    await asyncio.to_thread(migrate.check, database_url, metadata())
