"""The way of a claim from report to closing, its money, and what a loss ratio takes of it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from auto_insurance.claims.schemas import Incurred
from auto_insurance.contracts import topics
from tests.integration.claims.conftest import LOSS, Desk
from tests.support.scoring import TODAY, published


async def _open(desk: Desk, **changes: object) -> str:
    claim_id: str = (await desk.reported(**changes))["claim_id"]
    assert (await desk.move(claim_id, "open")).status_code == 200
    return claim_id


async def test_a_claim_is_reserved_paid_recovered_and_closed(desk: Desk) -> None:
    claim_id = await _open(desk)
    assert (await desk.book(claim_id, "reserve", "3000", "a")).status_code == 201
    await desk.move(claim_id, "investigating")
    await desk.move(claim_id, "approved", fault_share="0.5", note="Both looked away.")
    early = await desk.move(claim_id, "paid")
    assert (early.status_code, early.json()["detail"]) == (409, "Nothing was paid yet.")
    await desk.book(claim_id, "payment", "1200.50", "b")
    await desk.move(claim_id, "paid")
    await desk.book(claim_id, "recovery", "200", "c")
    closed = (await desk.move(claim_id, "closed")).json()
    assert (closed["paid"], closed["reserve"], closed["recovered"], closed["incurred"]) == (1200.5, 0.0, 200.0, 1000.5)
    assert [(one["kind"], one["change"], one["balance"], one["note"]) for one in closed["amounts"]] == [
        ("reserve", 3000.0, 3000.0, None),
        ("payment", 1200.5, 1200.5, None),
        ("reserve", -1200.5, 1799.5, None),
        ("recovery", 200.0, 200.0, None),
        ("reserve", -1799.5, 0.0, "released"),
    ]
    assert [move["to_status"] for move in closed["moves"]] == [
        "reported", "open", "investigating", "approved", "paid", "closed",
    ]  # fmt: skip
    told = await published(desk.db, topics.CLAIMS)
    assert [event.data["revision"] for event in told] == list(range(1, len(told) + 1))
    assert {event.type for event in told[1:]} == {"claim.changed"}
    assert (told[-1].data["paid"], told[-1].data["reserve"], told[-1].data["fault_share"]) == (
        "1200.50",
        "0.00",
        "0.500",
    )


async def test_the_same_key_books_once_and_another_body_is_refused(desk: Desk) -> None:
    claim_id = await _open(desk)
    first = await desk.book(claim_id, "reserve", "100", "k")
    again = await desk.book(claim_id, "reserve", "100", "k")
    other = await desk.book(claim_id, "reserve", "200", "k")
    assert first.json() == again.json()
    assert len(again.json()["amounts"]) == 1
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    async with desk.staff() as client:
        keyless = await client.post(f"/claims/{claim_id}/amounts", json={"kind": "reserve", "amount": "1"})
    assert keyless.status_code == 422


@pytest.mark.parametrize(
    ("kind", "amount", "status", "code"),
    [
        ("payment", "10", 409, "claim_amount_refused"),
        ("reserve", "-10", 409, "claim_amount_refused"),
        ("reserve", "10.001", 422, "invalid_input"),
        ("bonus", "10", 422, "invalid_input"),
        ("reserve", "1e12", 422, "invalid_input"),
    ],
)
async def test_amounts_that_are_refused(desk: Desk, kind: str, amount: str, status: int, code: str) -> None:
    answer = await desk.book(await _open(desk), kind, amount, "k")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_no_more_is_paid_than_the_cover_s_limit(desk: Desk) -> None:
    desk.cover.limit = Decimal(1000)
    claim_id = await _open(desk)
    await desk.move(claim_id, "approved")
    assert (await desk.book(claim_id, "payment", "900", "a")).status_code == 201
    over = await desk.book(claim_id, "payment", "100.01", "b")
    assert (over.status_code, over.json()["detail"]) == (409, "More would be paid than the cover's limit.")


async def test_drivers_book_nothing_decide_nothing_and_may_withdraw(desk: Desk) -> None:
    claim_id = await _open(desk)
    async with desk.driver() as client:
        amount = await client.post(
            f"/claims/{claim_id}/amounts", json={"kind": "reserve", "amount": 1}, headers={"Idempotency-Key": "k"}
        )
        approve = await client.post(f"/claims/{claim_id}/transition", json={"to": "approved"})
        share = await client.post(f"/claims/{claim_id}/transition", json={"to": "withdrawn", "fault_share": 0})
        withdrawn = await client.post(f"/claims/{claim_id}/transition", json={"to": "withdrawn"})
        twice = await client.post(f"/claims/{claim_id}/transition", json={"to": "withdrawn"})
    assert (amount.status_code, approve.status_code, share.status_code) == (403, 403, 403)
    assert (withdrawn.json()["status"], withdrawn.json()["decision_reason"]) == ("withdrawn", "by_claimant")
    assert (twice.status_code, twice.json()["code"]) == (409, "claim_move_refused")
    assert (await published(desk.db, topics.CLAIMS))[-1].data["counts"] is False


async def test_a_closed_claim_is_reopened_and_decided_again(desk: Desk) -> None:
    claim_id = await _open(desk)
    await desk.move(claim_id, "denied", reason="below_deductible")
    closed = (await desk.move(claim_id, "closed")).json()
    assert (closed["decision"], closed["decision_reason"]) == ("denied", "below_deductible")
    reopened = (await desk.move(claim_id, "reopened")).json()
    assert (reopened["decision"], reopened["decision_reason"]) == (None, None)
    approved = (await desk.move(claim_id, "approved")).json()
    assert approved["decision"] == "approved"
    assert "paid" in approved["may_move_to"]


async def test_history_can_only_grow(desk: Desk) -> None:
    claim_id = await _open(desk)
    await desk.book(claim_id, "reserve", "100", "k")
    for table in ("claim_amounts", "claim_moves", "claim_evidence"):
        for statement in (f"UPDATE {table} SET claim_id = 'x'", f"DELETE FROM {table}"):
            with pytest.raises(DBAPIError, match="only added to"):
                async with desk.db.begin() as uow:
                    await uow.conn.execute(text(statement))


async def test_incurred_is_of_losses_in_the_period_that_count(desk: Desk) -> None:
    first, second = await _open(desk), await _open(desk)
    await desk.book(first, "reserve", "500", "a")
    await desk.move(first, "approved")
    await desk.book(first, "payment", "200", "b")
    await desk.book(second, "reserve", "70", "c")
    await desk.move(second, "withdrawn", reason="entered_in_error")
    async with desk.db.read() as uow:
        found = await desk.claims.incurred(uow, LOSS, LOSS + timedelta(seconds=1))
        before = await desk.claims.incurred(uow, TODAY - timedelta(days=9), LOSS)
    assert before == []
    assert found == [
        Incurred(
            currency="USD", claims=1, open_claims=1, paid=Decimal("200.00"), reserve=Decimal("300.00"),
            recovered=Decimal("0.00"),
        )
    ]  # fmt: skip
    assert found[0].incurred == Decimal("500.00")
