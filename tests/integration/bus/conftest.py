"""A log in PostgreSQL with small times, on a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from auto_insurance.contracts import topics
from auto_insurance.infra.bus.postgres import PostgresLog, PostgresLogOptions
from tests.conformance.conftest import effects_db as effects_db  # noqa: PLC0414 (a fixture)

FAST = PostgresLogOptions(
    session_timeout_s=3.0, heartbeat_s=0.5, rebalance_s=0.3, poll_interval_s=0.2, append_timeout_s=1.5
)


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[PostgresLog]:
    """The log with all topics of the product."""
    opened = PostgresLog(database_url, FAST)
    await opened.ensure_topics(topics.ALL)
    yield opened
    await opened.close()
