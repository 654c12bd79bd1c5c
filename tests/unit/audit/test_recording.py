"""What an act says of itself: subjects from the path and from notes, people behind seals, bounded texts."""

from __future__ import annotations

import json

import pytest

from auto_insurance.audit.chain import seal
from auto_insurance.audit.recording import MAX_ALSO, MAX_DETAILS, compose
from auto_insurance.infra import acting
from auto_insurance.infra.acting import ANONYMOUS, Act, Actor, Place
from auto_insurance.infra.db.uow import Note, UnitOfWork

ADA = Actor("user", "u-1", "ada", "DRV007")


async def _nothing(_: UnitOfWork, __: Act) -> None:
    raise AssertionError


def act(actor: Actor = ADA) -> Act:
    return Act(_nothing, lambda: Place(""), "r-1", "192.0.2.1", actor)


@pytest.mark.parametrize(
    ("template", "parameters", "kind", "ident", "person"),
    [
        ("/drivers/{driver_id}", {"driver_id": "DRV001"}, "driver", None, "DRV001"),
        ("/drivers/{driver_id}", {"driver_id": "me"}, "driver", None, "DRV007"),
        ("/drivers/{driver_id}/devices/{device_id}", {"driver_id": "D", "device_id": "C"}, "device", "C", "D"),
        ("/pricing/plans/{version}/activate", {"version": "p-1"}, "plan", "p-1", None),
        ("/risk/models/{version}/activate", {"version": "m-1"}, "model", "m-1", None),
        ("/policies/{policy_id}/cancel", {"policy_id": "POL-1"}, "policy", "POL-1", None),
        ("/auth/login", {}, None, None, None),
    ],
)
def test_the_path_names_the_subject(
    template: str, parameters: dict[str, str], kind: str | None, ident: str | None, person: str | None
) -> None:
    row, opened = compose(act(), Place(f"POST {template}", parameters), [])
    assert (row.subject_kind, row.subject_id) == (kind, ident)
    people = [one for value, one in opened if value == row.subject]
    assert [one.ident for one in people] == ([person] if person else [])
    assert [value for value, one in opened] == [seal(one) for _, one in opened]


def test_the_first_note_names_it_before_the_path() -> None:
    notes = [Note("policy", "POL-9", {"status": ["bound", "active"]}), Note("driver", "DRV003", {}, {"why": "sick"})]
    row, opened = compose(act(), Place("POST /quotes/{quote_id}/bind", {"quote_id": "QUO-1"}), notes)
    assert (row.subject_kind, row.subject_id) == ("policy", "POL-9")
    assert json.loads(row.details) == {"status": ["bound", "active"], "also": ["quote QUO-1"]}
    who, whom = (one for _, one in opened)
    assert (who.ident, who.label, who.address, who.private) == ("u-1", "ada", "192.0.2.1", None)
    assert (whom.kind, whom.ident, whom.private) == ("driver", "DRV003", '{"why":"sick"}')


def test_free_text_about_nobody_goes_with_who_acted() -> None:
    _, [(_, who)] = compose(act(), Place("plan activate"), [Note("plan", "p-1", {}, {"reason": "the board"})])
    assert who.private == '{"reason":"the board"}'


def test_nobody_has_no_seal_and_no_address() -> None:
    row, opened = compose(act(ANONYMOUS), Place("POST /quotes"), [Note("quote", "QUO-1")])
    assert (row.actor, row.subject, opened) == (None, None, [])


def test_a_bulk_is_named_up_to_a_bound() -> None:
    notes = [Note("claim", f"CLM-{number}") for number in range(MAX_ALSO + 51)]
    notes += [Note("driver", f"DRV{number}") for number in range(7)]
    row, _ = compose(act(), Place("POST /bulk"), notes)
    details = json.loads(row.details)
    assert (row.subject_id, len(details["also"]), details["also_more"]) == ("CLM-0", MAX_ALSO, 50)
    assert details["also_people"] == 6
    assert "DRV" not in row.details


def test_long_details_are_replaced_by_their_names() -> None:
    row, _ = compose(act(), Place("x"), [Note("plan", "p", {"text": "y" * MAX_DETAILS, "b": 1})])
    assert json.loads(row.details) == {"too_long": ["b", "text"]}


def test_a_zero_byte_of_a_path_is_left_out() -> None:
    row, _ = compose(act(), Place("GET /policies/{policy_id}", {"policy_id": "a\x00b"}), [])
    assert row.subject_id == "ab"


def test_an_act_ends_where_it_began() -> None:
    assert acting.current() is None
    acting.identify(ADA)
    with acting.doing(act(ANONYMOUS)):
        acting.identify(ADA)
        inner = acting.current()
        assert inner is not None
        assert inner.actor == ADA
        with acting.as_system():
            assert acting.current() is None
    assert acting.current() is None
