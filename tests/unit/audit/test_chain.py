"""Whatever is done to a chain is found, and nothing is found where nothing was done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.audit import chain
from auto_insurance.audit.chain import GENESIS, START, Anchor, Damage, Opened, Row, Verifier

TEXT = st.text(max_size=20)
MAYBE = st.none() | TEXT
PERSON = Opened("user", "u-1", "ada", "192.0.2.1", '{"note":"late"}', bytes(range(32)))


def row(number: int, **columns: object) -> Row:
    """Return a row without its hash."""
    given = {
        "number": number, "id": f"id-{number}", "at": "2026-01-31T23:59:59.000001Z", "actor_kind": "user",
        "actor": chain.seal(PERSON), "action": "POST /api/v1/drivers", "subject_kind": "driver", "subject_id": None,
        "subject": None, "request_id": "r", "details": "{}", "hash": b"",
    } | columns  # fmt: skip
    return Row(**given)  # type: ignore[arg-type]


def chained(rows: list[Row]) -> list[Row]:
    """Return the rows with their hashes."""
    found, previous = [], GENESIS
    for one in rows:
        previous = chain.link(previous, one)
        found.append(replace(one, hash=previous))
    return found


def good(count: int = 6) -> list[Row]:
    """Return a chain that holds."""
    return chained([row(number) for number in range(1, count + 1)])


def verified(rows: list[Row], anchors: dict[int, bytes] | None = None) -> list[tuple[int, Damage]]:
    """Return what is wrong, by both ways: row by row, and as an export."""
    opened = {chain.seal(PERSON): PERSON}
    direct = Verifier(anchors=anchors or {})
    for one in rows:
        direct.take(one, opened)
    direct.end()
    lines = [chain.export_head(START), *(chain.export_line(one, opened) for one in rows)]
    by_file = chain.verify_lines(lines, anchors)
    assert by_file.faults == direct.faults
    return [(fault.number, fault.damage) for fault in direct.faults]


ROWS = st.lists(
    st.builds(
        row, st.just(0), actor_kind=TEXT, action=TEXT, subject_kind=MAYBE, subject_id=MAYBE, request_id=MAYBE,
        details=TEXT, subject=st.none() | st.binary(min_size=32, max_size=32),
    ),
    max_size=8,
)  # fmt: skip


@given(ROWS)
def test_a_chain_holds_whatever_its_rows_say(rows: list[Row]) -> None:
    assert verified(chained([replace(one, number=place) for place, one in enumerate(rows, 1)])) == []


@given(st.lists(MAYBE), st.lists(MAYBE))
def test_different_parts_never_have_one_hash(left: list[str | None], right: list[str | None]) -> None:
    assert (chain.digest(left) == chain.digest(right)) == (left == right)


OTHER: dict[str, Any] = {
    "number": 3, "id": "id-x", "at": "2026-01-31T23:59:59.000002Z", "actor_kind": "api_key", "actor": bytes(32),
    "action": "DELETE /api/v1/drivers", "subject_kind": None, "subject_id": "DRV001", "subject": bytes(32),
    "request_id": None, "details": '{"x":1}', "hash": bytes(32),
}  # fmt: skip


@pytest.mark.parametrize("name", [one.name for one in fields(Row)])
def test_a_changed_column_is_found(name: str) -> None:
    rows = good()
    rows[3] = replace(rows[3], **{name: OTHER[name]})
    found = verified(rows)
    assert found
    assert found[0][0] in {3, 4}


@pytest.mark.parametrize("name", [one.name for one in fields(Opened)])
def test_what_a_seal_hides_can_not_be_changed(name: str) -> None:
    change: dict[str, Any] = {name: b"x" * 32 if name == "salt" else "other"}
    other = replace(PERSON, **change)
    verifier = Verifier()
    verifier.take(good()[0], {chain.seal(PERSON): other})
    assert [fault.damage for fault in verifier.faults] == [Damage.SEAL]


def test_an_erased_person_leaves_the_chain_whole() -> None:
    verifier = Verifier()
    for one in good():
        verifier.take(one, {})
    verifier.end()
    assert (verifier.found, verifier.erased, verifier.rows) == (0, 6, 6)


def swapped(rows: list[Row]) -> None:
    rows[2], rows[3] = rows[3], rows[2]


def renumbered(rows: list[Row]) -> None:
    rows[2], rows[3] = replace(rows[3], number=3), replace(rows[2], number=4)


def inserted(rows: list[Row]) -> None:
    rows.insert(3, replace(row(4, details="{1}"), hash=chain.link(rows[2].hash, row(4, details="{1}"))))


def inserted_and_moved(rows: list[Row]) -> None:
    inserted(rows)
    for place in range(4, len(rows)):
        rows[place] = replace(rows[place], number=place + 1)


def one_written_anew(rows: list[Row]) -> None:
    """Change a row and give it the hash that fits."""
    other = replace(rows[3], details="{2}")
    rows[3] = replace(other, hash=chain.link(rows[2].hash, other))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda rows: rows.pop(0), [(1, Damage.GAP)]),
        (lambda rows: rows.pop(3), [(4, Damage.GAP)]),
        (lambda rows: rows.__delitem__(slice(1, 4)), [(2, Damage.GAP)]),
        (swapped, [(3, Damage.GAP), (3, Damage.ORDER)]),
        (renumbered, [(3, Damage.CHANGED), (4, Damage.CHANGED), (5, Damage.CHANGED)]),
        (inserted, [(4, Damage.ORDER), (5, Damage.CHANGED)]),
        (inserted_and_moved, [(5, Damage.CHANGED), (6, Damage.CHANGED), (7, Damage.CHANGED)]),
        (lambda rows: rows.append(rows[5]), [(6, Damage.ORDER)]),
        (one_written_anew, [(5, Damage.CHANGED)]),
    ],
)
def test_moved_missing_and_added_rows_are_found(
    change: Callable[[list[Row]], object], wanted: list[tuple[int, Damage]]
) -> None:
    rows = good()
    change(rows)
    assert verified(rows) == wanted


@pytest.mark.parametrize("left", range(6))
def test_a_cut_tail_shows_against_an_anchor(left: int) -> None:
    rows = good()
    anchor = {6: rows[5].hash}
    assert verified(rows, anchor) == []
    assert verified(rows[:left]) == []
    assert verified(rows[:left], anchor) == [(left + 1, Damage.CUT)]


def test_a_chain_written_anew_shows_against_an_anchor() -> None:
    rows = good()
    forged = chained([replace(one, details="{3}") for one in rows])
    assert verified(forged) == []
    assert verified(forged, {4: rows[3].hash}) == [(4, Damage.ANCHOR)]


def test_a_stretch_is_taken_up_where_it_says() -> None:
    rows = good()
    after = Anchor(2, rows[1].hash)
    lines = [chain.export_head(after), *(chain.export_line(one, {}) for one in rows[2:])]
    assert chain.verify_lines(lines).found == 0
    assert chain.verify_lines(lines, {2: rows[1].hash, 6: rows[5].hash}).found == 0
    assert [one.damage for one in chain.verify_lines(lines, {2: bytes(32)}).faults] == [Damage.ANCHOR]


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (0, "first line"),
        (2, "line 3"),
    ],
)
@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"format": "other"}', '{"number": "1", "opened": {}}'])
def test_a_line_that_can_not_be_read_is_a_fault(line: int, detail: str, text: str) -> None:
    lines = [chain.export_head(START), *(chain.export_line(one, {}) for one in good())]
    lines[line] = text
    found = chain.verify_lines(lines).faults
    assert found[0].damage is Damage.UNREADABLE
    assert detail in found[0].detail


def test_an_export_with_more_than_it_should_is_refused() -> None:
    lines = [chain.export_head(START), chain.export_line(good()[0], {})]
    lines[1] = json.dumps(json.loads(lines[1]) | {"comment": "all is well"})
    assert chain.verify_lines(lines).found == 1


def test_an_empty_file_is_no_export() -> None:
    assert chain.verify_lines([]).found == 1


def test_faults_are_counted_and_the_first_are_kept() -> None:
    verifier = Verifier()
    for number in range(2, 2 * chain.MAX_FAULTS + 10, 2):
        verifier.take(row(number), {})
    assert len(verifier.faults) == chain.MAX_FAULTS
    assert verifier.found > chain.MAX_FAULTS


def test_anchors_are_read_in_both_forms() -> None:
    anchor = Anchor(12, bytes(range(32)))
    assert chain.parse_anchor(str(anchor)) == anchor
    assert chain.parse_anchor(json.dumps({"number": 12, "hash": anchor.hash.hex(), "at": "x"})) == anchor
    for wrong in ("", "12", "12:ab", "x:" + "00" * 32, "-1:" + "00" * 32, "{}", "{", '{"number": 1}'):
        with pytest.raises(ValueError, match=r".+"):
            chain.parse_anchor(wrong)


def test_the_verifier_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """The module alone, in an interpreter without site-packages, verifies an export."""
    rows = good()
    file = tmp_path / "audit.jsonl"
    file.write_text("\n".join([chain.export_head(START), *(chain.export_line(one, {}) for one in rows)]) + "\n")
    (tmp_path / "chain.py").write_text(Path(chain.__file__).read_text())
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import chain;"
        "v = chain.verify_lines(open(sys.argv[2])); print(v.found, v.rows, v.head)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(tmp_path), str(file)],
        capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert ran.stdout.split() == ["0", "6", f"6:{rows[5].hash.hex()}"]
