"""``ledger``: what is booked for a policy, and the verdict over all of it."""

from __future__ import annotations

import asyncio
import json
from datetime import date

import pytest

from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import Database
from tests.support.ledger import Books, Policy
from tests.unit.cli.conftest import call


@pytest.fixture
def url(database_url: str) -> str:
    """A database with two policies, one of them with a day that is earned."""

    async def book() -> None:
        database = Database(create_engine(EngineOptions(url=database_url, pool_size=1)))
        books = Books(database)
        await books.book(Policy("POL-000001").bind("365.00"))
        await books.earn(date(2026, 1, 2))
        await books.book(Policy("POL-000002").bind("730.00"))
        await database.dispose()

    asyncio.run(book())
    return database_url


def break_it(url: str) -> None:
    async def run() -> None:
        database = Database(create_engine(EngineOptions(url=url, pool_size=1)))
        await Books(database).execute("UPDATE ledger_terms SET earned = earned + 1 WHERE policy_id = 'POL-000002'")
        await database.dispose()

    asyncio.run(run())


def say(url: str, *argv: str, code: int = 0) -> str:
    result = call("ledger", *argv, env={"DATABASE_URL": url})
    assert result.exit_code == code, result.output
    return result.output


def test_both_sides_of_every_entry_are_shown(url: str) -> None:
    told = say(url, "show", "POL-000001")
    assert "365.00 USD owed, 1.00 earned, 364.00 unearned" in told
    assert "premium_receivable" in told
    assert "not shown: 1;" in say(url, "show", "POL-000001", "--entries", "1")
    found = json.loads(say(url, "show", "POL-000001", "--json"))
    assert found["accounts"]["unearned_premium"] == "-364.00"
    assert [entry["kind"] for entry in found["entries"]] == ["earning", "booking"]


def test_an_unknown_policy_is_named(url: str) -> None:
    assert "POL-000009" in say(url, "show", "POL-000009", code=1)


def test_the_verdict(url: str) -> None:
    assert "Policies checked: 2." in say(url, "verify")
    break_it(url)
    told = say(url, "verify", code=1)
    assert "POL-000002" in told
    assert "POL-000001" not in told
    found = json.loads(say(url, "verify", "--json", code=1))
    assert {fault["policy_id"] for fault in found["faults"]} == {"POL-000002"}
    assert "Policies checked: 1." in say(url, "verify", "POL-000001")
