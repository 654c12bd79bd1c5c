"""`auto-insurance claims verify`: walks all evidence, names what is not as it was frozen."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import asyncpg
import pytest
from typer.testing import CliRunner

from auto_insurance.claims import evidence
from auto_insurance.claims.amounts import ZERO
from auto_insurance.claims.records import new_claim
from auto_insurance.claims.repository import add_claim
from auto_insurance.claims.repository_evidence import EvidenceRow, add_evidence
from auto_insurance.claims.schemas import ClaimSource
from auto_insurance.entrypoints.cli import claims as command
from auto_insurance.entrypoints.cli.main import build_app
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import Database
from tests.support.scoring import TODAY


async def _fill(url: str, count: int) -> None:
    database = Database(create_engine(EngineOptions(url=url)))
    try:
        async with database.begin() as uow:
            for number in range(count):
                at = TODAY + timedelta(hours=number)
                claim = await new_claim(
                    uow, source=ClaimSource.STAFF, driver_id="DRV001", vehicle_id=None, occurred_at=at, time_zone="UTC",
                    status="open",
                )  # fmt: skip
                assert claim.paid == ZERO
                await add_claim(uow, claim)
                window = evidence.window_of(at)
                row = EvidenceRow(
                    claim_id=claim.claim_id, version=1, window_start=window.start, window_end=window.end, devices=[],
                    event_count=0, content=b"[]", reason="reported", frozen_at=at,
                    checksum=evidence.checksum(claim.claim_id, 1, window, None, b"[]"),
                )  # fmt: skip
                await add_evidence(uow, row)
    finally:
        await database.dispose()


async def _tamper(url: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        await conn.execute("SET session_replication_role = replica")
        await conn.execute("UPDATE claim_evidence SET reason = 'x', content = '[1]' WHERE claim_id = 'CLM-000003'")
    finally:
        await conn.close()


def test_verify_names_damaged_evidence(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr(command, "PAGE", 2)

    def run(*words: str) -> tuple[int, str]:
        found = CliRunner().invoke(build_app(), ["claims", "verify", *words])
        return found.exit_code, found.stdout

    assert run()[0] == 0, CliRunner().invoke(build_app(), ["claims", "verify"]).output
    asyncio.run(_fill(database_url, 5))
    code, said = run()
    assert (code, "5 claims with evidence checked, 0 not as frozen" in said) == (0, True)
    asyncio.run(_tamper(database_url))
    code, said = run("--json")
    assert (code, json.loads(said)) == (1, {"checked": 5, "damaged": ["CLM-000003"]})
    assert "CLM-000003" in run()[1]
