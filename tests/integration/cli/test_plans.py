"""``plan list``, ``add``, ``dislocation`` and ``activate`` on a database."""

from __future__ import annotations

import json
from pathlib import Path

from auto_insurance.kernel import clock
from auto_insurance.pricing.plan import shipped_document
from tests.unit.cli.conftest import call

MINE = shipped_document("standard-2").replace('version = "standard-2"', 'version = "mine-1"')
BOOK = "state,coverage\nCA,standard\nNY,full\n"


def _say(url: str, *argv: str, code: int = 0) -> str:
    result = call("plan", *argv, env={"DATABASE_URL": url})
    assert result.exit_code == code, result.output
    return result.output + result.stderr


def test_a_plan_on_its_way_into_force(database_url: str, tmp_path: Path) -> None:
    file, page, today = tmp_path / "mine.toml", tmp_path / "moves.html", clock.now().date().isoformat()
    file.write_text(MINE)
    (tmp_path / "book.csv").write_text(BOOK)
    assert "mine-1 is kept" in _say(database_url, "add", str(file), "--by", "ada")
    assert _say(database_url, "show", "mine-1") == MINE
    wish = ("activate", "mine-1", "--from", today, "--why", "seen by the board", "--by", "ada")
    kept = ("standard-1", "mine-1", "--inputs", str(tmp_path / "book.csv"), "--keep")
    assert "standard-1 to mine-1" in _say(database_url, "dislocation", *kept)
    assert "plan dislocation standard-1 mine-1" in _say(database_url, *wish, code=1)
    _say(database_url, "dislocation", "standard-1", "mine-1", "--html", str(page))
    assert "the whole book" in page.read_text()
    assert f"rates what takes effect from {today} on" in _say(database_url, *wish)
    found = json.loads(_say(database_url, "list", "--json"))
    assert [plan["version"] for plan in found["plans"] if plan["in_force"]] == ["mine-1"]
    assert found["activations"][0]["reason"] == "seen by the board"
    assert "by ada: seen by the board" in _say(database_url, "list")


def test_an_unknown_version(database_url: str) -> None:
    assert "There is no rating plan own-9" in _say(database_url, "show", "own-9", code=1)
