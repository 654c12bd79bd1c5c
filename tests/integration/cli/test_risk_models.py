"""The registry, the drift and the data set at the command line, on a real database."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import polars as pl
import pytest
from typer.testing import CliRunner

from auto_insurance.drivers.service import DriverService
from auto_insurance.entrypoints.cli import riskcheck
from auto_insurance.entrypoints.cli.checks import Patient, Verdict
from auto_insurance.entrypoints.cli.main import build_app
from auto_insurance.infra.config import load_settings
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import ids
from auto_insurance.risk import repository_drift, repository_exposure
from auto_insurance.risk.repository_drift import DriftNight
from auto_insurance.risk.repository_exposure import ClaimRow, CoverRow, Span
from auto_insurance.risk.service import RiskService
from auto_insurance.trips.service import TripService
from tests.support.driving_model import write_model
from tests.support.scoring import add_driver, add_trip

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def cli(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs a command: JSON if it prints some, else its text."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, code: int = 0) -> Any:
        found = CliRunner().invoke(build_app(), ["risk", *words])
        assert found.exit_code == code, found.output
        return json.loads(found.stdout) if "--json" in words and code == 0 else found.output

    return run


def fill(database_url: str) -> None:
    """Put two scored drivers, a policy, a claim and a measured night into the database."""

    async def work(uow: UnitOfWork) -> None:
        people = DriverService(None, None)  # type: ignore[arg-type]
        for driver_id, brakes in (("DRV001", 1), ("DRV002", 60)):
            await add_driver(uow, driver_id)
            for days in (40, 20):
                await add_trip(uow, driver_id, NOW - days * DAY, distance_miles=300.0, harsh_braking_count=brakes)
            await RiskService(TripService(), people).score_driver(uow, driver_id, "test")
        await repository_exposure.put_cover(uow, cover("POL-1", "DRV001"))
        await repository_exposure.put_claim(uow, a_claim())
        night = DriftNight(
            run_id=ids.new_uuid(), measured_at=NOW, model_version="scorecard-1", drivers=2, score_drift=0.31,
            feature_drift={"night_share": 0.4, "phone_s_per_hour": None}, insured_years=1.0, actual_claims=1,
            expected_claims=0.8,
        )  # fmt: skip
        await repository_drift.add_night(uow, night)

    async def run() -> None:
        database = Database(create_engine(EngineOptions(database_url)))
        try:
            async with database.begin() as uow:
                await work(uow)
        finally:
            await database.dispose()

    asyncio.run(run())


def cover(policy_id: str, driver_id: str) -> CoverRow:
    span = Span(NOW - 60 * DAY, NOW + 300 * DAY)
    return CoverRow(
        policy_id=policy_id, term=1, driver_id=driver_id, revision=1, term_start=span.from_at, term_end=span.to_at,
        in_force=(span,),
    )  # fmt: skip


def a_claim() -> ClaimRow:
    return ClaimRow(
        claim_id="CLM-1", driver_id="DRV001", policy_id="POL-1", revision=1, coverage="collision",
        occurred_at=NOW - 20 * DAY, reported_at=NOW - 19 * DAY, counts=True,
    )  # fmt: skip


def test_a_model_from_its_folder_to_champion_and_back(cli: Any, database_url: str, tmp_path: Path) -> None:
    fill(database_url)
    before = cli("models", "list", "--json")
    assert [row["version"] for row in before["models"] if row["in_use"]] == ["driving-2"]
    folder = write_model(tmp_path / "tables-1")
    assert cli("models", "add", str(folder), "--json")["status"] == "candidate"
    assert "There is a risk model tables-1 already" in cli("models", "add", str(folder), code=1)
    assert "in the shadow" in cli("models", "shadow", "tables-1", "--note", "a month beside it")
    compared = cli("models", "compare", "driving-2", "tables-1", "--json")
    assert (compared["drivers"], compared["champion_version"], compared["rank_correlation"]) == (2, "driving-2", 1.0)
    assert "rank correlation" in cli("models", "compare", "driving-2", "tables-1")
    text = cli("models", "activate", "tables-1", "--note", "better")
    assert "tables-1 is the champion" in text
    assert "simulated or assumed claims" in text
    assert "driving-2 is the champion again" in cli("models", "roll-back")
    after = cli("models", "list", "--json")
    statuses = {row["version"]: row["status"] for row in after["models"]}
    assert (statuses["driving-2"], statuses["tables-1"]) == ("champion", "retired")
    assert [change["note"] for change in after["changes"] if change["to_status"] == "champion"] == [
        "rolled back from tables-1", "better",
    ]  # fmt: skip
    assert all("command line" in change["changed_by"] for change in after["changes"])
    listing = cli("models", "list")
    assert "simulated" in listing
    assert "rolled back from tables-1" in listing


def test_what_cannot_be_is_said(cli: Any, tmp_path: Path) -> None:
    assert "There is no risk model nothing" in cli("models", "activate", "nothing", code=1)
    assert "no other champion" in cli("models", "roll-back", code=1)
    (tmp_path / "Not A Version").mkdir()
    assert "can't be a version" in cli("models", "add", str(tmp_path / "Not A Version"), code=2)
    (tmp_path / "empty").mkdir()
    assert "manifest.json" in cli("models", "add", str(tmp_path / "empty"), code=1)
    assert "nothing to compare on" in cli("models", "compare", "scorecard-1", "driving-2")
    assert "No night was measured" in cli("drift")
    assert "Model card: scorecard-1" in cli("models", "card", "scorecard-1")


def test_production_refuses_a_simulated_champion(cli: Any, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ENVIRONMENT", "production"), ("JWT_SECRET_KEY", "k" * 48)):
        monkeypatch.setenv(name, value)
    assert "ALLOW_SIMULATED_MODELS" in cli("models", "activate", "scorecard-1", code=1)
    assert "no premium follows" in cli("models", "list")
    monkeypatch.setenv("ALLOW_SIMULATED_MODELS", "true")
    assert "scorecard-1 is the champion" in cli("models", "activate", "scorecard-1")
    assert "no premium follows" not in cli("models", "list")


def test_the_drift_of_the_nights(cli: Any, database_url: str) -> None:
    fill(database_url)
    text = cli("drift")
    assert "night_share 0.40" in text
    assert "0.310" in text
    (night,) = cli("drift", "--nights", "3", "--json")
    assert (night["drivers"], night["actual_claims"]) == (2, 1)


def test_scores_at_the_command_line_say_what_they_rest_on(cli: Any, database_url: str) -> None:
    fill(database_url)
    assert "simulated" in cli("score", "DRV001")


def test_the_data_set_is_a_file_that_training_reads(cli: Any, database_url: str, tmp_path: Path) -> None:
    fill(database_url)
    file = tmp_path / "months.parquet"
    span = ("--from", f"{NOW - 70 * DAY:%Y-%m-%d}", "--to", f"{NOW + DAY:%Y-%m-%d}")
    figures = cli("dataset", *span, "-o", str(file), "--json")
    frame = pl.read_parquet(file)
    assert (figures["claims"], figures["drivers"], figures["miles"]) == (1, 1, 600.0)
    assert frame["claims"].sum() == 1
    assert "driver-periods of 1 drivers" in cli("dataset", *span, "--period", "term", "-o", str(tmp_path / "t.csv"))
    assert "must be after" in cli("dataset", "--from", "2026-01-02", "--to", "2026-01-01", "-o", str(file), code=2)
    assert "say .parquet" in cli("dataset", *span, "-o", str(tmp_path / "t.xlsx"), code=2)
    none = ("--from", "2001-01-01", "--to", "2002-01-01")
    assert "Nobody was insured" in cli("dataset", *none, "-o", str(file), code=1)


@pytest.mark.parametrize(
    ("env", "simulated", "expected"),
    [
        ({}, True, ("ok", "every score says so")),
        ({"ENVIRONMENT": "production"}, True, ("warning", "no premium follows")),
        ({"ENVIRONMENT": "production", "ALLOW_SIMULATED_MODELS": "true"}, True, ("warning", "prices on simulated")),
        ({"ENVIRONMENT": "production"}, False, ("ok", "observed claims")),
    ],
)
def test_the_doctor_judges_the_model(env: dict[str, str], expected: tuple[str, str], *, simulated: bool) -> None:
    settings = load_settings(env={"JWT_SECRET_KEY": "k" * 48, **env})
    found = riskcheck.verdict(settings, "scorecard-1", simulated=simulated)
    assert (found.verdict.value, expected[1] in found.found) == (expected[0], True)


def test_the_doctor_sees_a_champion_that_cannot_be_loaded(cli: Any, database_url: str, tmp_path: Path) -> None:
    patient = Patient(load_settings(env={"DATABASE_URL": database_url}), None)
    assert riskcheck.check(patient).verdict is Verdict.OK
    cli("models", "add", str(write_model(tmp_path / "tables-1")))
    cli("models", "activate", "tables-1")
    execute(database_url, "UPDATE risk_models SET artefact = 'rotten' WHERE version = 'tables-1'")
    rotten = riskcheck.check(patient)
    assert (rotten.verdict, "driving-2 scores instead" in rotten.found) == (Verdict.BAD, True)
    gone = Patient(load_settings(env={"DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/none"}), None)
    assert riskcheck.check(gone).verdict is Verdict.WARN


def execute(url: str, statement: str) -> None:
    async def run() -> None:
        conn = await asyncpg.connect(url)
        try:
            await conn.execute(statement)
        finally:
            await conn.close()

    asyncio.run(run())
