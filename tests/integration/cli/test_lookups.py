"""``db`` and ``consumers``: what an operator reads of a database, and the one thing that he may take away."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from auto_insurance.entrypoints.cli import connections
from auto_insurance.entrypoints.cli.checks import Patient, Verdict
from auto_insurance.infra.config import load_settings
from tests.unit.cli.conftest import call

OLD, LIVE = "old-reports", "risk-scoring"


def _execute(url: str, *statements: str) -> None:
    async def run() -> None:
        conn = await asyncpg.connect(url)
        try:
            for statement in statements:
                await conn.execute(statement)
        finally:
            await conn.close()

    asyncio.run(run())


@pytest.fixture
def url(database_url: str) -> str:
    """A database with two groups on a topic of which the log holds ten records; a member of one runs."""
    _execute(
        database_url,
        "INSERT INTO log_topics (topic, topic_id, partitions, retention_days, segment)"
        " VALUES ('trips', gen_random_uuid(), 2, 7, 0)",
        "INSERT INTO log_heads (topic_no, partition_no, next_offset) SELECT topic_no, p, 5 FROM log_topics,"
        " generate_series(0, 1) AS p",
        f"INSERT INTO consumer_offsets (group_name, topic, partition_no, topic_id, next_offset) VALUES"
        f" ('{OLD}', 'trips', 0, 'x', 1), ('{OLD}', 'trips', 1, 'x', 2), ('{LIVE}', 'trips', 0, 'x', 5),"
        f" ('{OLD}', 'gone', 0, 'x', 7)",
        f"INSERT INTO consumer_status (group_name, member, lag_messages, lag_seconds, partitions)"
        f" VALUES ('{LIVE}', 'host-1', 0, 0, 1)",
    )
    return database_url


def _say(url: str, *argv: str, stdin: str | None = None, code: int = 0) -> str:
    result = call(*argv, env={"DATABASE_URL": url}, stdin=stdin)
    assert result.exit_code == code, result.output
    return result.output


def _json(url: str, *argv: str) -> Any:
    return json.loads(_say(url, *argv, "--json"))


def test_indexes_are_listed_with_their_use(url: str) -> None:
    _execute(
        url,
        "INSERT INTO consumer_status (group_name, member, lag_messages, lag_seconds, partitions)"
        " SELECT 'g', i::text, 0, 0, 0 FROM generate_series(1, 500) AS i",
        "CREATE INDEX ix_for_nothing ON consumer_status (lag_messages)",
        "ANALYZE consumer_status",
    )
    found = _json(url, "db", "indexes")
    by_name = {index["name"]: index for index in found["indexes"]}
    assert "ix_for_nothing" in found["unused"]
    assert by_name["pk_consumer_status"]["is_unique"]
    assert by_name["pk_telematics_events"]["parts"] >= 4, "those of partitions are one"
    assert not set(found["unused"]) & {name for name, index in by_name.items() if index["is_unique"]}
    said = _say(url, "db", "indexes")
    assert "ix_for_nothing" in said.rsplit("Unused since", 1)[1]


def test_connections_are_counted_against_the_limit(url: str) -> None:
    found = _json(url, "db", "pool")
    assert found["limit"] > found["used"] > 0
    assert any(client["name"] == "auto-insurance-command" for client in found["clients"])
    assert set(found["planned"]) == {"api", "worker", "scheduler"}
    assert "one of each process opens up to" in _say(url, "db", "pool")


def test_the_doctor_compares_pools_with_the_server(url: str) -> None:
    fits = connections.check(Patient(load_settings({"DATABASE_URL": url}, None, {"DB_POOL_SIZE": 2}), None))
    assert (fits.name, fits.verdict) == ("Connections", Verdict.OK)
    huge = connections.check(Patient(load_settings({"DATABASE_URL": url}, None, {"DB_POOL_SIZE": 200}), None))
    assert huge.verdict is Verdict.WARN
    assert "max_connections" in huge.remedy
    away = load_settings({"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, None, {"DB_CONNECT_TIMEOUT_S": 1})
    unseen = connections.check(Patient(away, None))
    assert unseen.verdict is Verdict.WARN, "that it is away is the problem of another check"
    assert "not to be seen" in unseen.found
    assert connections.check(Patient(load_settings({}, None, {}), None)).verdict is Verdict.OK


def test_a_pool_of_consumers_needs_little_each() -> None:
    one = connections.planned(load_settings({}, None, {"EVENT_LOG": "postgres"}))
    three = connections.planned(load_settings({}, None, {"KAFKA_NUM_CONSUMERS": 3}))
    assert one == {"api": 37, "worker": 37, "scheduler": 37}
    assert three["worker"] == 3 * 17
    production = load_settings(
        {"DATABASE_URL": "postgresql://x@h/x", "JWT_SECRET_KEY": "k" * 64, "ENVIRONMENT": "production"}, None, {}
    )
    assert connections.planned(production)["api"] == 20 + 40 + 7


def test_groups_are_listed_and_described(url: str) -> None:
    groups = {group["group"]: group for group in _json(url, "consumers", "list")}
    assert groups[OLD]["lag"] == 4 + 3
    assert groups[LIVE]["lag"] == 0
    assert [member["name"] for member in groups[LIVE]["members"]] == ["host-1"]
    gone, first, _ = _json(url, "consumers", "describe", OLD)["partitions"]
    assert (gone["topic"], gone["end"], gone["lag"]) == ("gone", None, None)
    assert (first["next_offset"], first["end"], first["lag"]) == (1, 5, 4)
    assert "No member runs." in _say(url, "consumers", "describe", OLD)
    assert "host-1: 1 partitions" in _say(url, "consumers", "describe", LIVE)
    assert "no consumer group nobody" in _say(url, "consumers", "describe", "nobody", code=1)


def test_a_group_is_forgotten_only_when_nobody_runs_and_somebody_is_sure(url: str) -> None:
    assert "1 running member" in _say(url, "consumers", "forget", LIVE, "--yes", code=1)
    assert "Nothing was changed" in _say(url, "consumers", "forget", OLD, stdin="n\n", code=1)
    assert "3 partitions" in _say(url, "consumers", "forget", OLD, stdin="y\n")
    assert [group["group"] for group in _json(url, "consumers", "list")] == [LIVE]


def test_without_a_database_the_commands_say_so(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("consumers", "list").exit_code == 2
    unreachable = call("db", "indexes", env={"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"})
    assert unreachable.exit_code == 1
    assert "cannot be reached" in unreachable.output
