from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.policies.errors import IllegalTransition
from auto_insurance.policies.lifecycle import FINAL, OPEN, TRANSITIONS, Action, Status, after, possible


@given(st.lists(st.sampled_from(Action), max_size=40))
def test_any_sequence_of_actions_follows_the_table_or_changes_nothing(actions: list[Action]) -> None:
    status, insured, ended = Status.QUOTED, False, False
    for action in actions:
        if action not in possible(status):
            with pytest.raises(IllegalTransition, match=status.value):
                after(status, action)
            continue
        if action in {Action.REINSTATE, Action.REBIND} and not insured:
            continue  # only the running term is ever reinstated, and an offer that was withdrawn never ran
        status = after(status, action)
        assert not ended, "an ended term moves no more"
        insured = insured or action is Action.BIND
        if status in OPEN:
            assert insured, "no cover without a bind"
        ended = status in FINAL


@pytest.mark.parametrize(("status", "action"), list(product(Status, Action)))
def test_every_pair_is_in_the_table_or_a_clear_error(status: Status, action: Action) -> None:
    if (status, action) in TRANSITIONS:
        assert after(status, action) is TRANSITIONS[status, action]
        return
    with pytest.raises(IllegalTransition, match=f"is {status.value} can't {action.value}; ") as caught:
        after(status, action)
    for one in possible(status):
        assert one.value in caught.value.detail
    if status in FINAL:
        assert "nothing can happen" in caught.value.detail


def test_every_status_can_be_reached_and_every_action_taken() -> None:
    assert {*TRANSITIONS.values(), Status.QUOTED} == set(Status)
    assert {action for _, action in TRANSITIONS} == set(Action)


def test_the_usual_life() -> None:
    status = Status.QUOTED
    for action in (Action.BIND, Action.ACTIVATE, Action.ENDORSE, Action.LAPSE, Action.REINSTATE, Action.RENEW):
        status = after(status, action)
    assert status is Status.RENEWED


def test_only_a_term_that_ended_is_final() -> None:
    assert {status for status in Status if not possible(status)} == FINAL
