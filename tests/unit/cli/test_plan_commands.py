"""``plan validate``, ``show``, ``diff`` and ``dislocation`` on files: no database needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auto_insurance.pricing.plan import shipped_document
from tests.unit.cli.conftest import call

BOOK = "driver_id,state,coverage,driver_age\nDRV001,CA,standard,40\nDRV002,NY,full,19\n"
MINE = (
    shipped_document("standard-1")
    .replace('"standard-1"', '"mine-1"')
    .replace("standard = 1200.00", "standard = 1320.00")
)


@pytest.fixture
def mine(folder: Path) -> Path:
    """A plan of one's own: in California a tenth dearer."""
    (folder / "mine.toml").write_text(MINE)
    return folder / "mine.toml"


def test_a_sound_plan(mine: Path) -> None:
    told = call("plan", "validate", "mine.toml")
    assert told.exit_code == 0, told.output
    assert "mine-1 is sound" in told.output


def test_every_fault_is_told(mine: Path) -> None:
    mine.write_text(MINE.replace("floor = 0.70", "floor = 1.70").replace("private = 1.00", "private = 0.0"))
    told = call("plan", "validate", "mine.toml")
    assert told.exit_code == 1
    assert "vehicle_use.private must be positive" in told.output
    assert "telematics.floor and ceiling must enclose 1" in told.output
    (found,) = json.loads(call("plan", "validate", "mine.toml", "--json").output)
    assert (found["sound"], len(found["faults"])) == (False, 2)


def test_a_file_that_is_not_there(folder: Path) -> None:
    told = call("plan", "validate", "none.toml")
    assert told.exit_code == 1
    assert "none.toml cannot be read" in told.stderr


def test_show_prints_a_plan_as_it_is_written() -> None:
    assert call("plan", "show", "standard-2").output == shipped_document("standard-2")
    assert json.loads(call("plan", "show", "standard-2", "--json").output)["plan"]["version"] == "standard-2"


def test_diff_names_the_place(mine: Path) -> None:
    told = call("plan", "diff", "standard-1", "mine.toml")
    assert told.exit_code == 0, told.output
    assert "base.CA.standard" in told.output
    assert {one["place"] for one in json.loads(call("plan", "diff", "standard-1", "mine.toml", "--json").output)} == {
        "plan.version",
        "base.CA.standard",
    }
    assert "They say the same" in call("plan", "diff", "mine.toml", "mine.toml").output


def test_who_moves_in_a_file(mine: Path, folder: Path) -> None:
    (folder / "book.csv").write_text(BOOK)
    told = call("plan", "dislocation", "standard-1", "mine.toml", "--inputs", "book.csv", "--html", "moves.html")
    assert told.exit_code == 0, told.output
    assert "standard-1 to mine-1" in told.output
    assert "+10.0%" in told.output
    assert "<svg" in (folder / "moves.html").read_text()
    found = json.loads(call("plan", "dislocation", "standard-1", "mine.toml", "--inputs", "book.csv", "--json").output)
    assert [mover["key"] for mover in found["most_up"]] == ["DRV001"]


def test_a_file_with_a_fault(mine: Path, folder: Path) -> None:
    (folder / "book.csv").write_text("state\nCA\n")
    told = call("plan", "dislocation", "standard-1", "mine.toml", "--inputs", "book.csv")
    assert told.exit_code == 1
    assert "column coverage is missing" in told.stderr


def test_what_needs_a_database_says_so(mine: Path, folder: Path) -> None:
    (folder / "book.csv").write_text(BOOK)
    for words in (
        ("list",),
        ("show", "own-1"),
        ("add", "mine.toml"),
        ("dislocation", "standard-1", "standard-2"),
        ("activate", "standard-2", "--from", "2099-01-01", "--why", "x"),
    ):
        told = call("plan", *words)
        assert told.exit_code == 2, words
        assert "There is no database" in told.stderr
    told = call("plan", "dislocation", "standard-1", "mine.toml")
    assert told.exit_code == 2
    assert "plan add mine.toml" in told.stderr
