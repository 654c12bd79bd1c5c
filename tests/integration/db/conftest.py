"""A filled database for the tests of plans; one per module."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import asyncpg
import pytest

from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
from tests.integration.db.filling import fill


@pytest.fixture(scope="module")
def filled_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A migrated database with a book of some thousand drivers, their events, trips, scores and premiums."""
    name = f"filled_{os.getpid()}"

    async def run(sql: str) -> None:
        conn = await asyncpg.connect(postgres_server.url())
        try:
            await conn.execute(sql)
        finally:
            await conn.close()

    asyncio.run(run(f"CREATE DATABASE {name} TEMPLATE migrated STRATEGY file_copy"))
    try:
        asyncio.run(fill(postgres_server.url(name)))
        yield postgres_server.url(name)
    finally:
        asyncio.run(run(f"DROP DATABASE {name} WITH (FORCE)"))
