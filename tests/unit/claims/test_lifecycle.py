"""The table of a claim's moves, and what must hold for them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.claims import lifecycle
from auto_insurance.claims.lifecycle import MOVES, Actor, Decision, Facts, Reason, Refusal, Status

S = Status
READY = Facts(S.OPEN, complete=True, covered=True, paid=Decimal(0))


def facts(status: Status, *, complete: bool = True, covered: bool = True, paid: int = 0) -> Facts:
    return Facts(status, complete, covered, Decimal(paid))


def test_every_status_is_reached_from_a_draft() -> None:
    reached = {S.DRAFT}
    for _ in Status:
        reached |= {to for (before, to) in MOVES if before in reached}
    assert reached == set(Status)


def test_only_withdrawn_claims_stay_as_they_are() -> None:
    assert set(Status) - {before for before, _ in MOVES} == {S.WITHDRAWN}


def test_a_driver_reports_and_withdraws_and_nothing_else() -> None:
    own = {move for move, actors in MOVES.items() if Actor.DRIVER in actors}
    assert {to for _, to in own} == {S.REPORTED, S.WITHDRAWN}
    assert lifecycle.moves_from(S.DRAFT, Actor.DRIVER) == [S.REPORTED, S.WITHDRAWN]
    assert lifecycle.moves_from(S.APPROVED, Actor.DRIVER) == []


def test_staff_may_do_all_that_drivers_may() -> None:
    assert all(Actor.STAFF in actors for actors in MOVES.values())


@given(st.sampled_from(Status), st.sampled_from(Status), st.sampled_from(Actor), st.booleans(), st.booleans())
def test_nothing_moves_outside_the_table(
    before: Status, to: Status, actor: Actor, complete: bool, covered: bool
) -> None:
    found = lifecycle.refusal(facts(before, complete=complete, covered=covered), to, actor, Reason.OTHER)
    if (before, to) not in MOVES:
        assert found is Refusal.NO_SUCH_MOVE
    elif actor not in MOVES[before, to]:
        assert found is Refusal.NOT_YOURS
    else:
        assert found not in {Refusal.NO_SUCH_MOVE, Refusal.NOT_YOURS}


@pytest.mark.parametrize(
    ("known", "to", "reason", "found"),
    [
        (facts(S.DRAFT, complete=False), S.REPORTED, None, Refusal.INCOMPLETE),
        (facts(S.DRAFT), S.REPORTED, None, None),
        (facts(S.OPEN, covered=False), S.APPROVED, None, Refusal.NOT_COVERED),
        (facts(S.OPEN), S.APPROVED, None, None),
        (facts(S.OPEN, covered=False), S.DENIED, Reason.NO_COVER, None),
        (facts(S.OPEN), S.DENIED, None, Refusal.REASON_MISSING),
        (facts(S.OPEN), S.WITHDRAWN, None, Refusal.REASON_MISSING),
        (facts(S.APPROVED), S.PAID, None, Refusal.NOTHING_PAID),
        (facts(S.APPROVED, paid=1), S.PAID, None, None),
        (facts(S.REOPENED, paid=1), S.DENIED, Reason.FRAUD, Refusal.ALREADY_PAID),
    ],
)
def test_conditions(known: Facts, to: Status, reason: Reason | None, found: Refusal | None) -> None:
    assert lifecycle.refusal(known, to, Actor.STAFF, reason) is found


def test_a_driver_needs_no_reason_to_withdraw() -> None:
    assert lifecycle.refusal(READY, S.WITHDRAWN, Actor.DRIVER, None) is None


@pytest.mark.parametrize(
    ("before", "to", "after"),
    [
        (None, S.APPROVED, Decision.APPROVED),
        (Decision.APPROVED, S.PAID, Decision.APPROVED),
        (Decision.APPROVED, S.INVESTIGATING, None),
        (Decision.DENIED, S.CLOSED, Decision.DENIED),
        (Decision.DENIED, S.REOPENED, None),
        (None, S.DENIED, Decision.DENIED),
    ],
)
def test_decisions(before: Decision | None, to: Status, after: Decision | None) -> None:
    assert lifecycle.decision_after(before, to) is after


def test_what_is_a_claim_to_learn_from() -> None:
    assert [status for status in Status if not lifecycle.is_claim(status, None)] == [S.DRAFT, S.WITHDRAWN]
    nothing = {reason for reason in Reason if not lifecycle.is_claim(S.CLOSED, reason)}
    assert nothing == {Reason.NO_COVER, Reason.DUPLICATE, Reason.ENTERED_IN_ERROR}
