"""Auditors find, verify and take away what was done; nobody else sees it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from auto_insurance.audit import chain
from auto_insurance.audit.schemas import CSV_COLUMNS
from auto_insurance.entrypoints.cli.acts import operator
from auto_insurance.entrypoints.cli.main import build_app
from auto_insurance.identity.deps import current_user
from auto_insurance.identity.schemas import Principal, Role
from auto_insurance.infra.http.pagination import encode_cursor
from auto_insurance.kernel import ids
from tests.support.acts import STAFF, Office, by_force


async def test_the_routes(office: Office) -> None:
    async with office.client() as client:
        drivers = [(await client.post("/drivers", json={"state": "CA"})).json()["driver_id"] for _ in range(3)]
        await client.patch(f"/drivers/{drivers[1]}", json={"city": "Reno"}, headers={"X-Request-ID": "=cmd()"})
        await client.patch(f"/drivers/{drivers[1]}", json={"city": "Elko"}, headers={"X-Request-ID": "-1.5"})
        await office.sequencer.chain()

        async def acts(**query: Any) -> list[dict[str, Any]]:
            answer = await client.get("/admin/audit", params=query)
            assert answer.status_code == 200, answer.text
            found: list[dict[str, Any]] = answer.json()
            assert int(answer.headers["X-Total-Count"]) >= len(found)
            return found

        everything = await acts()
        assert [one["number"] for one in everything] == [6, 5, 4, 3, 2, 1]
        assert [one["number"] for one in await acts(skip=2, limit=2)] == [4, 3]
        assert len(await acts(actor=STAFF)) == len(await acts(actor=everything[0]["actor"]["id"])) == 6
        assert await acts(actor=drivers[1]) == []
        assert {one["person"]["id"] for one in await acts(subject=drivers[1])} == {drivers[1]}
        assert len(await acts(subject=drivers[1])) == 3
        assert [one["number"] for one in await acts(action="PATCH ")] == [6, 5]
        assert await acts(action="PATCH%") == []
        assert [one["number"] for one in await acts(search="AUTH/LOGIN")] == [1]
        assert len(await acts(**{"from": everything[2]["at"]})) == 3
        assert len(await acts(to=everything[2]["at"])) == 3
        assert (await client.get("/admin/audit", params={"limit": 101})).status_code == 422

        lines = list(csv.reader(io.StringIO((await client.get("/admin/audit/export?action=PATCH")).text)))
        assert tuple(lines[0]) == CSV_COLUMNS
        assert [line[CSV_COLUMNS.index("number")] for line in lines[1:]] == ["6", "5"]
        assert lines[1][CSV_COLUMNS.index("request_id")] == "'-1.5", "no formula for a spreadsheet"
        assert lines[1][CSV_COLUMNS.index("subject_id")] == drivers[1]

        verified = (await client.get("/admin/audit/verify")).json()
        assert (verified["intact"], verified["rows"], verified["head"], verified["complete"]) == (True, 6, 6, True)
        await by_force(office.db, "UPDATE audit_log SET action = 'GET /' WHERE number = 3")
        broken = (await client.get("/admin/audit/verify", params={"after": 1, "limit": 3})).json()
        assert (broken["intact"], broken["after"], broken["rows"], broken["complete"]) == (False, 1, 3, False)
        assert [(one["number"], one["damage"]) for one in broken["faults"]] == [(3, "changed")]

    person = Principal(user_id=ids.new_uuid(), username="x", roles=frozenset({Role.DRIVER}), driver_id=drivers[0])
    async with office.client(signed_in=False) as client:
        for path in ("", "/verify", "/export"):
            office.app.dependency_overrides.clear()
            assert (await client.get(f"/admin/audit{path}")).status_code == 401
            office.app.dependency_overrides[current_user] = lambda: person
            assert (await client.get(f"/admin/audit{path}")).status_code == 403


async def test_the_log_is_read_on_by_cursor(office: Office) -> None:
    async with office.client() as client:
        for state in ("CA", "CA", "NV", "NV", "NV"):
            await client.post("/drivers", json={"state": state})
        first = [one.id for one in reversed(await office.rows())]
        seen: list[str] = []
        query: dict[str, Any] = {"limit": 2}
        while True:
            answer = await client.get("/admin/audit", params=query)
            seen += [one["id"] for one in answer.json()]
            assert len(answer.json()) <= 2
            # Somebody acts while another reads, and rows get their numbers.
            await client.post("/drivers", json={"state": "CA"})
            await office.sequencer.chain()
            if "X-Next-Cursor" not in answer.headers:
                break
            query = {"limit": 2, "skip": 3, "cursor": answer.headers["X-Next-Cursor"]}
        assert seen == [str(one) for one in first], "each act once, none of those that came later"

        wanted = await client.get("/admin/audit", params={"action": "POST /api/v1/drivers", "limit": 1})
        rest = {"action": "POST /api/v1/drivers", "cursor": wanted.headers["X-Next-Cursor"]}
        more = (await client.get("/admin/audit", params=rest)).json()
        assert len(more) == int(wanted.headers["X-Total-Count"]) - 1 > 5
        assert {one["action"] for one in more} == {"POST /api/v1/drivers"}

        good = rest["cursor"]
        for bad in (
            "x",
            good[:-3],
            good[::-1],
            encode_cursor("trips", 1, "x"),
            encode_cursor("audit", "x", "y"),
            "a b",
        ):
            refused = await client.get("/admin/audit", params={"cursor": bad})
            assert refused.status_code == 422, bad
            assert [one["field"] for one in refused.json()["errors"]] == ["query.cursor"], bad
        assert (await client.get("/admin/audit", params={"cursor": good, "limit": 101})).status_code == 422
        person = Principal(user_id=ids.new_uuid(), username="x", roles=frozenset({Role.DRIVER}), driver_id="DRV001")
        office.app.dependency_overrides[current_user] = lambda: person
        assert (await client.get("/admin/audit", params={"cursor": good})).status_code == 403


def run(url: str, *argv: str, stdin: str | None = None) -> Result:
    """Run a command on a database."""
    return CliRunner().invoke(build_app(), list(argv), env={"DATABASE_URL": url, "COLUMNS": "200"}, input=stdin)


async def test_the_commands(office: Office, database_url: str, tmp_path: Path) -> None:
    async def ran(*argv: str, code: int = 0, stdin: str | None = None) -> str:
        result = await asyncio.to_thread(run, database_url, *argv, stdin=stdin)
        assert result.exit_code == code, result.output
        return result.stdout or result.output

    await ran("users", "create-admin", "grace", "--password-file", "-", stdin="a-password-for-grace-1\n")
    row = (await office.rows())[-1]
    assert row.actor is not None
    assert (row.action, row.actor_kind, row.actor.id) == ("users create-admin", "command", operator().ident)
    assert (row.subject_kind, row.details) == ("user", {"created": "user", "roles": ["admin"]})
    before = len(await office.rows())
    await ran("partitions", "list")
    await ran("risk", "models", "list")
    assert len(await office.rows()) == before, "looking leaves no row"
    await ran("partitions", "create", "2019-05")
    [made] = await office.new_rows(before)
    assert made.action == "partitions create"

    assert "3 rows" in await ran("audit", "verify"), "waiting"
    await office.sequencer.chain()
    assert "The chain holds: 3 rows" in await ran("audit", "verify")
    file = tmp_path / "audit.jsonl"
    assert "up to number 3" in await ran("audit", "export", "-o", str(file))
    anchor = (await ran("audit", "anchor")).strip()
    assert json.loads(await ran("audit", "anchor", "--json"))["number"] == 3
    assert len(file.read_text().splitlines()) == 4
    assert "The chain holds: 3 rows" in await ran("audit", "verify", "--file", str(file), "--anchor", anchor)
    assert "The chain holds after row 2: 1 rows" in await ran(
        "audit", "verify", "-f", "-", stdin=await ran("audit", "export", "-o", "-", "--after", "2")
    )
    anchors = tmp_path / "anchors.txt"
    anchors.write_text(anchor + "\n\n")
    file.write_text("".join(line + "\n" for line in file.read_text().splitlines()[:3]))
    cut = json.loads(await ran("audit", "verify", "-f", str(file), "--anchor", str(anchors), "--json", code=1))
    assert [(one["number"], one["damage"]) for one in cut["faults"]] == [(3, "cut")]
    await by_force(office.db, "UPDATE audit_log SET details = '{}' WHERE number = 2")
    told = await ran("audit", "verify", code=1)
    assert "row 2 or its link" in told
    assert "changed" in told
    await ran("audit", "verify", "--anchor", "nonsense", code=2)
    await ran("audit", "verify", "--anchor", anchor, "--anchor", "3:" + "00" * 32, code=2)
    await ran("audit", "export", "-o", str(tmp_path / "no" / "where"), code=1)


def test_a_file_is_verified_without_a_database(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_text(chain.export_head(chain.START) + "\n")
    assert run("postgresql://nobody@127.0.0.1:9/none", "audit", "verify", "--file", str(file)).exit_code == 0
    file.write_text("something else")
    assert run("postgresql://nobody@127.0.0.1:9/none", "audit", "verify", "--file", str(file)).exit_code == 1


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_without_a_name_acts_too(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", nobody)
    assert operator().ident == "cli:unknown"
