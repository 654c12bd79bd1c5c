"""The routes of policies: whose they are, what they answer, and that repeating one does nothing twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.policies.records import Policy
from tests.support.policies import PolicyWorld
from tests.support.scoring import TODAY, add_trip

CHANGE = {"effective_on": "2026-12-15", "changes": {"coverage": "full"}, "reason": "more cover"}
CANCEL = {"reason": "sold the car", "effective_on": "2026-09-15"}


@pytest.fixture
async def policy(world: PolicyWorld) -> Policy:
    return await world.bound()


async def test_from_quote_to_policy(world: PolicyWorld) -> None:
    quote = await world.quote(coverage="full")
    async with world.client(driver_id="DRV001") as client:
        asked = await client.post(f"/quotes/{quote.quote_id}/bind/preview", json={"months": 6})
        answer = await client.post(f"/quotes/{quote.quote_id}/bind", json={"months": 6})
        again = await client.post(f"/quotes/{quote.quote_id}/bind", json={"months": 6})
        listed = (await client.get("/policies")).json()
        details = (await client.get("/pricing/me/policy-details")).json()
    assert (asked.status_code, answer.status_code, again.status_code) == (200, 201, 201)
    body = answer.json()
    assert again.json() == body
    assert asked.json()["amounts"] == body["terms"][0]["amounts"]
    assert body["documents"] == ["declarations"]
    assert body["terms"][0]["segments"][0]["facts"]["coverage"] == "full"
    assert (listed["total"], listed["items"][0]["policy_id"]) == (1, body["policy_id"])
    assert (details["policy_number"], details["status"], details["term_months"]) == (body["policy_id"], "active", 6)
    assert details["annual_premium"] == float(quote.annual_premium)


async def test_only_owner_and_staff_see_a_policy(world: PolicyWorld, policy: Policy) -> None:
    paths = ["", "/transactions", "/documents/declarations"]
    async with world.client(driver_id="DRV002") as client:
        for path in paths:
            foreign = await client.get(f"/policies/{policy.policy_id}{path}")
            unknown = await client.get(f"/policies/POL-999999{path}")
            assert foreign.status_code == unknown.status_code == 404
            assert {**foreign.json(), "request_id": 0} == {**unknown.json(), "request_id": 0}
        for action in ("endorse", "cancel", "reinstate", "renew"):
            body = {"endorse": CHANGE, "renew": {}}.get(action, {"reason": "not mine"})
            answer = await client.post(f"/policies/{policy.policy_id}/{action}", json=body)
            assert answer.status_code == 404
        assert (await client.get("/policies")).json()["total"] == 0
        assert (await client.get("/policies?driver_id=DRV001")).status_code == 404
        assert (await client.get("/pricing/me/policy-details")).status_code == 404
        assert (await client.get("/admin/policies")).status_code == 403
    for client in (world.client(driver_id="DRV001"), world.client(admin=True)):
        async with client:
            for path in paths:
                assert (await client.get(f"/policies/{policy.policy_id}{path}")).status_code == 200


async def test_change_preview_and_repetition(world: PolicyWorld, policy: Policy) -> None:
    url = f"/policies/{policy.policy_id}/endorse"
    async with world.client(driver_id="DRV001") as client:
        asked = (await client.post(f"{url}?preview=true", json=CHANGE)).json()
        key = {"Idempotency-Key": "one"}
        done = (await client.post(url, json={**CHANGE, "revision": 2}, headers=key)).json()
        again = await client.post(url, json={**CHANGE, "revision": 2}, headers=key)
        late = await client.post(url, json={**CHANGE, "revision": 2})
        log = (await client.get(f"/policies/{policy.policy_id}/transactions")).json()
    assert asked["preview"] is True
    assert asked["transaction_id"] is None
    assert asked["amounts"] == done["amounts"]
    assert again.json() == done
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (late.status_code, late.json()["code"]) == (409, "policy_changed")
    assert log["total"] == 3
    newest = log["items"][0]
    assert (newest["kind"], newest["role"], newest["effective_on"]) == ("endorsed", "driver", "2026-12-15")
    assert newest["amounts"] == done["amounts"]
    assert newest["lines"][0]["kind"] == "apply"
    assert newest["premium_id"]


async def test_cancel_reinstate_renew(world: PolicyWorld, policy: Policy, frozen: FrozenClock) -> None:
    base = f"/policies/{policy.policy_id}"
    async with world.client(driver_id="DRV001") as client:
        asked = (await client.post(f"{base}/cancel?preview=true", json=CANCEL)).json()
        done = (await client.post(f"{base}/cancel", json=CANCEL)).json()
        refused = await client.post(f"{base}/reinstate", json={"reason": "again please"})
        twice = await client.post(f"{base}/cancel", json=CANCEL)
    assert asked["amounts"] == done["amounts"]
    assert done["amounts"]["written_premium"] < 0
    assert done["term"]["stopped_on"] == "2026-09-15"
    assert (refused.status_code, twice.status_code) == (403, 409)
    assert twice.json()["code"] == "illegal_policy_transition"
    async with world.client(admin=True) as client:
        back = (await client.post(f"{base}/reinstate", json={"reason": "again"})).json()
        offer = (await client.post(f"{base}/renew?preview=true", json={})).json()
        taken = (await client.post(f"{base}/renew", json={"months": 6})).json()
        whole = (await client.get(base)).json()
    assert back["amounts"]["written_premium"] == -done["amounts"]["written_premium"]
    assert (offer["kind"], offer["status"], offer["amounts"]["total"]) == ("offered", "quoted", 0)
    assert (taken["kind"], taken["status"], taken["term"]["months"]) == ("bound", "bound", 6)
    assert [term["status"] for term in whole["terms"]] == ["active", "bound"]


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("endorse", {**CHANGE, "effective_on": "2028-01-01"}, 422, "body.effective_on"),
        ("endorse", {**CHANGE, "changes": {}}, 422, "body.changes"),
        ("endorse", {**CHANGE, "changes": {"vehicle_id": "VEH404"}}, 422, "body.vehicle_id"),
        ("endorse", {**CHANGE, "changes": {"colour": "red"}}, 422, "body.changes.colour"),
        ("endorse", {**CHANGE, "changes": {"prior_claims": 0}}, 403, None),
        ("cancel", {**CANCEL, "method": "flat"}, 403, None),
        ("cancel", {"reason": "x"}, 422, "body.reason"),
        ("cancel", {"reason": "bad\u0000news"}, 422, "body.reason"),
        ("renew", {"months": 13}, 422, "body.months"),
        ("renew", {"months": 7}, 422, "body.months"),
    ],
)
async def test_wrong_input_names_the_field(
    world: PolicyWorld, policy: Policy, path: str, body: dict[str, Any], status: int, field: str | None
) -> None:
    async with world.client(driver_id="DRV001") as client:
        answer = await client.post(f"/policies/{policy.policy_id}/{path}", json=body)
    assert answer.status_code == status, answer.text
    if field is not None:
        assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_documents(world: PolicyWorld, policy: Policy, frozen: FrozenClock) -> None:
    base = f"/policies/{policy.policy_id}"
    frozen.advance(timedelta(days=330))
    async with world.db.begin() as uow:
        await world.service.step(uow, policy.policy_id)
    async with world.client(driver_id="DRV001") as client:
        names = (await client.get(base)).json()["documents"]
        pages = {name: await client.get(f"{base}/documents/{name}") for name in names}
        missing = await client.get(f"{base}/documents/cancellation")
        await client.post(f"{base}/cancel", json={"reason": "<b>sold</b> the car"})
        notice = await client.get(f"{base}/documents/cancellation")
    assert names == ["declarations", "renewal-offer"]
    for page in pages.values():
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert policy.policy_id in page.text
    assert "June 15, 2027" in pages["renewal-offer"].text
    assert (missing.status_code, missing.json()["code"]) == (404, "policy_document_not_found")
    assert "&lt;b&gt;sold&lt;/b&gt; the car" in notice.text
    assert "<b>" not in notice.text


async def test_a_notice_says_why_driving_made_it_dearer(world: PolicyWorld) -> None:
    async with world.db.begin() as uow:
        for days in (10, 20, 30):
            await add_trip(
                uow, "DRV001", TODAY - timedelta(days=days), distance_miles=800.0, harsh_braking_count=400,
                harsh_braking_severe_count=200, rapid_accel_count=300, harsh_corner_count=300, night_miles=600.0,
                late_night_miles=500.0,
            )  # fmt: skip
        score = await world.world.risk.score_driver(uow, "DRV001", "a test")
    assert score.relativity > 1
    policy = await world.bound()
    async with world.client(driver_id="DRV001") as client:
        names = (await client.get(f"/policies/{policy.policy_id}")).json()["documents"]
        page = await client.get(f"/policies/{policy.policy_id}/documents/adverse-action")
    assert names == ["declarations", "adverse-action"]
    assert "raking (raises the expected number of claims by" in page.text
    assert "% higher" in page.text


async def test_the_admin_console(world: PolicyWorld, policy: Policy) -> None:
    async with world.client(admin=True) as client:
        made = await client.post("/admin/policies", json={"driver_id": "DRV002", "coverage": "full", "months": 6})
        listed = await client.get("/admin/policies?limit=1")
        found = (await client.get("/admin/policies?search=DRV002")).json()
        by_status = (await client.get("/admin/policies?status=cancelled")).json()
        one = (await client.get(f"/admin/policies/{policy.policy_id}")).json()
        changed = await client.patch(
            f"/admin/policies/{policy.policy_id}", json={"changes": {"annual_mileage": 20000}, "reason": "new job"}
        )
        ended = await client.patch(
            f"/admin/policies/{made.json()['policy_id']}",
            json={"status": "cancelled", "method": "flat", "reason": "by mistake"},
        )
        summary = (await client.get("/admin/policies/summary")).json()
    assert made.status_code == 201, made.text
    assert listed.headers["X-Total-Count"] == "2"
    assert [item["driver_id"] for item in listed.json()] == ["DRV002"], "the newest first"
    assert [item["driver_id"] for item in found] == ["DRV002"]
    assert by_status == []
    assert one["policy_id"] == policy.policy_id
    assert changed.json()["effective_on"] == "2026-06-15"
    assert ended.json()["status"] == "cancelled"
    running = changed.json()["term"]["segments"][-1]["annual_premium"]
    assert (summary["total_policies"], summary["active_policies"]) == (2, 1)
    assert summary["annual_premium"] == running
    assert summary["monthly_revenue"] == pytest.approx(running / 12, abs=0.005)
    assert summary["total_savings"] > 0, "a device takes 5 % off"


async def test_a_driver_without_a_policy_has_no_details(world: PolicyWorld) -> None:
    async with world.client(driver_id="DRV001") as client:
        answer = await client.get("/pricing/me/policy-details")
    assert (answer.status_code, answer.json()["code"]) == (404, "policy_not_found")
