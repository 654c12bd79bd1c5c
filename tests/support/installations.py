"""Fixtures: databases and a Valkey for systems of real processes."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import pytest

from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
from auto_insurance.infra.embedded.valkey import EmbeddedValkey
from tests.support.system import System, scratch_folder

_numbers = itertools.count(1)
NewSystem = Callable[..., System]
"""Makes a system on a fresh database; keywords are settings. It ends with the fixture."""


def _execute(server: EmbeddedPostgres, sql: str) -> None:
    async def run() -> None:
        conn = await asyncpg.connect(server.url())
        try:
            await conn.execute(sql)
        finally:
            await conn.close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """A Valkey server of the test session."""
    with scratch_folder("ai-valkey-") as folder:
        server = EmbeddedValkey(folder / "valkey")
        server.start()
        try:
            yield server.url()
        finally:
            server.stop()


def _new_system(stack: ExitStack, server: EmbeddedPostgres, folder: Path, redis: str | None, **env: str) -> System:
    name = f"system_{os.getpid()}_{next(_numbers)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE migrated STRATEGY file_copy")
    stack.callback(_execute, server, f"DROP DATABASE {name} WITH (FORCE)")
    own = folder / name
    own.mkdir(mode=0o755)
    return stack.enter_context(System(server.url(name), redis, own, **env))


@pytest.fixture
def new_system(postgres_server: EmbeddedPostgres) -> Iterator[NewSystem]:
    """Systems without Redis, for one test."""
    with scratch_folder("ai-system-") as folder, ExitStack() as stack:
        yield lambda **env: _new_system(stack, postgres_server, folder, None, **env)


@pytest.fixture(scope="session")
def shared_system(postgres_server: EmbeddedPostgres, valkey_url: str) -> Iterator[System]:
    """One running system for all tests that only add devices of their own."""
    with scratch_folder("ai-system-") as folder, ExitStack() as stack:
        yield _new_system(stack, postgres_server, folder, valkey_url).start_all()


@pytest.fixture(scope="session")
def demo_api(postgres_server: EmbeddedPostgres, valkey_url: str) -> Iterator[System]:
    """A running API with the demo's people, who have not driven yet."""
    with scratch_folder("ai-demo-") as folder, ExitStack() as stack:
        system = _new_system(stack, postgres_server, folder, valkey_url, DEMO_MODE="true")
        system.start("api")
        yield system
