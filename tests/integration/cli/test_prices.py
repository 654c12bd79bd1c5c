"""``price``: what a driver pays, the same made again, and a quote, at the command line on a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from auto_insurance.entrypoints.cli.main import build_app
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import ids
from tests.support.scoring import add_driver, add_trip, make_world

NOW = datetime.now(UTC)


def work_on(database_url: str, work: Callable[[Database, UnitOfWork], Awaitable[None]]) -> None:
    """Run some work in a transaction of its own."""

    async def run() -> None:
        database = Database(create_engine(EngineOptions(url=database_url)))
        async with database.begin() as uow:
            await work(database, uow)
        await database.dispose()

    asyncio.run(run())


@pytest.fixture
def cli(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs a command of ``price``: JSON if it prints some, else its text. DRV001 is charged."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "220")

    async def fill(database: Database, uow: UnitOfWork) -> None:
        world = make_world(database)
        await add_driver(uow, "DRV001")
        await add_trip(uow, "DRV001", NOW - timedelta(days=9), distance_miles=800.0, harsh_braking_count=90)
        await world.risk.score_driver(uow, "DRV001", "test")
        await world.pricing.charge(uow, "DRV001", reason="bind", effective_date=NOW.date())

    work_on(database_url, fill)

    def run(*words: str, code: int = 0) -> Any:
        found = CliRunner().invoke(build_app(), ["price", *words])
        assert found.exit_code == code, found.output
        return json.loads(found.stdout) if "--json" in words else found.output

    return run


def test_show_and_replay(cli: Any) -> None:
    said = cli("show", "DRV001")
    assert "DRV001 pays" in said
    assert "How the driver drives" in said
    assert "bind" in said
    (version,) = cli("show", "DRV001", "--json")["versions"]
    again = cli("replay", version["premium_id"])
    assert "stored feature vector" in again, "the trips of this test have no events"
    assert "The same to the cent" in again
    told = cli("replay", version["premium_id"], "--stored-features", "--json")
    assert (told["exact"], told["source"], told["annual_premium"]) == (True, "features", version["annual_premium"])


def test_a_price_that_was_touched_ends_with_1_and_names_the_line(cli: Any, database_url: str) -> None:
    (version,) = cli("show", "DRV001", "--json")["versions"]

    async def touch(_: Database, uow: UnitOfWork) -> None:
        await uow.conn.execute(text("ALTER TABLE premiums DISABLE TRIGGER premiums_stay"))
        await uow.conn.execute(text("UPDATE premiums SET inputs = jsonb_set(inputs, '{prior_claims}', '2')"))

    work_on(database_url, touch)
    said = cli("replay", version["premium_id"], code=1)
    assert "Differs first at worksheet line 7 (prior_claims): input: stored 0, again 2." in said
    assert cli("replay", version["premium_id"], "--json", code=1)["exact"] is False


def test_a_quote_is_kept(cli: Any) -> None:
    said = cli("quote", "--state", "CA", "--age", "40", "--mileage", "8000", "--claims", "1")
    assert "1219.23 USD a year, 101.60 a month" in said
    quote = cli("quote", "--state", "TX", "--json")
    assert quote["quote_id"].startswith("QUO-")
    assert quote["annual_premium"] == "1045.00"


def test_what_is_wrong_is_said(cli: Any) -> None:
    assert "no id of a premium" in cli("replay", "7", code=2)
    assert "no such premium" in cli("replay", str(ids.new_uuid()), code=1)
    assert "state" in cli("quote", "--state", "Texas", code=2)
    assert cli("show", "DRV404", code=1)
