"""First notice of loss: who reports what, the cover at the time of the loss, what others hear."""

from __future__ import annotations

from datetime import timedelta

import pytest

from auto_insurance.contracts import topics
from tests.integration.claims.conftest import DRIVER, LOSS, OTHER, Desk, around
from tests.support.scoring import TODAY, published


async def test_a_driver_reports_a_loss(desk: Desk) -> None:
    await desk.store(around())
    claim = await desk.reported(
        vehicle_id="VEH-DRV001", place={"latitude": 41.25, "longitude": -96.0}, others_involved=True,
        time_zone="America/Chicago",
    )  # fmt: skip
    assert claim["claim_id"] == "CLM-000001"
    assert (claim["status"], claim["source"], claim["coverage"]) == ("reported", "driver", "collision")
    assert claim["time_zone"] == "America/Chicago"
    assert claim["place"] == {"latitude": 41.25, "longitude": -96.0}
    assert claim["cover"]["policy_id"] == claim["policy_id"] == "POL-1"
    assert (claim["cover"]["limit"], claim["cover"]["deductible"]) == (50000.0, 500.0)
    assert claim["may_move_to"] == ["withdrawn"]
    assert [(move["from_status"], move["to_status"], move["actor"]) for move in claim["moves"]] == [
        (None, "reported", "driver")
    ]
    [event] = await published(desk.db, topics.CLAIMS)
    assert (event.type, event.key, event.data["revision"], event.data["counts"]) == ("claim.reported", DRIVER, 1, True)
    assert event.data["reserve"] == "0.00"


async def test_staff_report_for_a_driver_and_in_the_driver_s_time_zone(desk: Desk) -> None:
    body = {"occurred_at": "2026-06-15T02:00:00-07:00", "coverage": "liability", "description": "Called in."}
    async with desk.staff() as client:
        answer = await client.post("/claims", json={**body, "driver_id": DRIVER, "injuries": True})
        without = await client.post("/claims", json=body)
        unknown = await client.post("/claims", json={**body, "driver_id": "DRV404"})
    claim = answer.json()
    assert (claim["source"], claim["injuries"], claim["time_zone"]) == ("staff", True, "America/Los_Angeles")
    assert claim["occurred_at"] == "2026-06-15T09:00:00Z"
    assert without.status_code == unknown.status_code == 404


async def test_a_loss_without_cover_is_taken_and_says_so(desk: Desk) -> None:
    claim = await desk.reported(occurred_at=(TODAY - timedelta(days=90)).isoformat())
    assert claim["policy_id"] is claim["cover"] is None
    await desk.move(claim["claim_id"], "open")
    refused = await desk.move(claim["claim_id"], "approved")
    assert (refused.status_code, refused.json()["code"]) == (409, "claim_not_covered")
    denied = await desk.move(claim["claim_id"], "denied", reason="no_cover")
    assert (denied.json()["decision"], denied.json()["decision_reason"]) == ("denied", "no_cover")
    last = (await published(desk.db, topics.CLAIMS))[-1]
    assert (last.type, last.data["counts"], last.data["policy_id"]) == ("claim.changed", False, None)


async def test_cover_is_asked_for_the_time_of_the_loss_and_looked_up_again_before_approval(desk: Desk) -> None:
    desk.cover.since = TODAY
    claim = await desk.reported(vehicle_id="VEH-DRV001")
    await desk.move(claim["claim_id"], "open")
    assert (await desk.move(claim["claim_id"], "approved")).status_code == 409
    desk.cover.since = TODAY - timedelta(days=1)
    approved = await desk.move(claim["claim_id"], "approved", fault_share="0.25")
    assert (approved.status_code, approved.json()["policy_id"]) == (200, "POL-1")
    assert approved.json()["fault_share"] == 0.25
    assert set(desk.cover.asked) == {(DRIVER, "VEH-DRV001", LOSS, "collision")}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"occurred_at": (TODAY + timedelta(hours=1)).isoformat()}, "body.occurred_at"),
        ({"occurred_at": (TODAY - timedelta(days=4000)).isoformat()}, "body.occurred_at"),
        ({"occurred_at": "2026-06-15T09:00:00"}, "body.occurred_at"),
        ({"vehicle_id": "VEH-DRV002"}, "body.vehicle_id"),
        ({"coverage": "hail"}, "body.coverage"),
        ({"description": ""}, "body.description"),
        ({"description": "x" * 4001}, "body.description"),
        ({"description": "a\u0000b"}, "body.description"),
        ({"place": {"latitude": 91, "longitude": 0}}, "body.place.latitude"),
        ({"time_zone": "Mars/Base"}, "body.time_zone"),
        ({"paid": 5}, "body.paid"),
    ],
)
async def test_wrong_input_names_the_field(desk: Desk, change: dict[str, object], field: str) -> None:
    body = {"occurred_at": LOSS.isoformat(), "coverage": "collision", "description": "Hit a post."} | change
    async with desk.driver() as client:
        answer = await client.post("/claims", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await published(desk.db, topics.CLAIMS) == []


async def test_a_report_sent_twice_with_a_key_is_one_claim(desk: Desk) -> None:
    body = {"occurred_at": LOSS.isoformat(), "coverage": "collision", "description": "Hit a post."}
    async with desk.driver() as client:
        answers = [await client.post("/claims", json=body, headers={"Idempotency-Key": "k1"}) for _ in range(2)]
        total = (await client.get("/claims")).json()["total"]
    assert answers[0].json() == answers[1].json()
    assert total == 1


async def test_others_claims_are_not_found(desk: Desk) -> None:
    claim_id = (await desk.reported())["claim_id"]
    async with desk.driver(OTHER) as client:
        answers = [
            await client.get(f"/claims/{claim_id}"),
            await client.get("/claims/CLM-999999"),
            await client.get(f"/claims/{claim_id}/evidence/verify"),
            await client.patch(f"/claims/{claim_id}", json={"injuries": True}),
            await client.post(f"/claims/{claim_id}/transition", json={"to": "withdrawn"}),
        ]
        for_another = await client.post(
            "/claims",
            json={
                "driver_id": DRIVER, "occurred_at": LOSS.isoformat(), "coverage": "collision", "description": "No",
            },
        )  # fmt: skip
        listed = (await client.get("/claims")).json()
        foreign = await client.get("/claims", params={"driver_id": DRIVER})
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "claim_not_found")}
    assert for_another.status_code == foreign.status_code == 404
    assert listed["total"] == 0


async def test_lists_filter_and_sort(desk: Desk) -> None:
    days = (3, 1, 2)
    for day in days:
        await desk.reported(occurred_at=(TODAY - timedelta(days=day)).isoformat())
    await desk.move("CLM-000002", "open")
    async with desk.staff() as client:

        async def found(**params: str) -> list[str]:
            items = (await client.get("/claims", params=params)).json()["items"]
            return [item["claim_id"][-1] for item in items]

        assert await found() == ["2", "3", "1"]
        assert await found(sort="occurred_at") == ["1", "3", "2"]
        assert await found(sort="-updated_at", status="reported") == ["3", "1"] or await found(status="open") == ["2"]
        assert await found(status="open", driver_id=DRIVER) == ["2"]
        since, until = (TODAY - timedelta(days=2, hours=1)).isoformat(), (TODAY - timedelta(days=1)).isoformat()
        assert await found(**{"from": since, "to": until}) == ["3"]
        page = (await client.get("/claims", params={"page": 2, "page_size": 2})).json()
    assert (page["total"], len(page["items"])) == (3, 1)
