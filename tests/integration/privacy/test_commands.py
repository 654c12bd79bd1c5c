"""The commands: list, plan, erase, verify."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints.cli.main import app
from tests.integration.privacy.conftest import ME, Traces
from tests.support.product import SECRET


async def invoke(arguments: Sequence[str]) -> Result:
    """Run a command in a thread: it has an event loop of its own."""
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, list(arguments)))


async def test_from_the_request_to_the_proof(
    container: Container,
    request_id: UUID,
    traces: Traces,
    tmp_path: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = container.settings.redis.url
    assert url is not None
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", url.get_secret_value())
    monkeypatch.setenv("ARCHIVE_DIR", str(tmp_path / "archive"))
    monkeypatch.setenv("JWT_SECRET_KEY", SECRET)
    listed = await invoke(["privacy", "requests", "--json"])
    assert [one["request_id"] for one in json.loads(listed.stdout)] == [str(request_id)]
    shown = await invoke(["privacy", "erase", str(request_id), "--dry-run"])
    assert (shown.exit_code, "Archive of 2024-02: 60 events" in shown.output) == (0, True)
    plan = json.loads((await invoke(["privacy", "erase", str(request_id), "--dry-run", "--json"])).stdout)
    tables = {table["table"]: table for table in plan["tables"]}
    assert (tables["telematics_events"]["fate"], tables["telematics_events"]["to_change"]) == ("deleted", 60)
    assert traces.in_archive()
    assert (await invoke(["privacy", "erase", str(request_id)])).exit_code == 1  # nobody said yes
    erased = await invoke(["privacy", "erase", str(request_id), "--yes", "--json"])
    assert erased.exit_code == 0, erased.output
    proof = json.loads(erased.stdout)
    assert proof["driver_id"] == ME
    verified = await invoke(["privacy", "verify", proof["proof_id"], "--json"])
    assert (verified.exit_code, json.loads(verified.stdout)["holds"]) == (0, True)
    assert traces.in_archive() == []
