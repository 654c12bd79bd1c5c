"""Every write of a person or key leaves exactly one row, in its own transaction; nothing else leaves any."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from auto_insurance import bootstrap
from auto_insurance.audit.schemas import AuditItem
from auto_insurance.audit.service import AuditFilter, AuditSequencer, AuditService
from auto_insurance.infra import acting
from auto_insurance.infra.acting import Act, Actor, Place
from auto_insurance.infra.db.uow import Database
from tests.support.acts import PASSWORD, STAFF, Office


async def driver_of(office: Office) -> str:
    async with office.client() as client:
        answer = await client.post("/drivers", json={"state": "CA", "full_name": "Grace Hopper"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["driver_id"])


async def left_by(office: Office, method: str, path: str, *, status: int, **request: Any) -> list[AuditItem]:
    """Send a request of staff and return the rows that it left."""
    before = len(await office.rows())
    async with office.client() as client:
        answer = await client.request(method, path, **request)
    assert answer.status_code == status, answer.text
    return await office.new_rows(before)


async def test_each_write_leaves_its_row(office: Office) -> None:
    driver = await driver_of(office)
    body: dict[str, Any] = {"device_id": "CAR-1"}
    writes: list[tuple[str, str, int, dict[str, Any], tuple[str, str | None]]] = [
        ("PATCH", f"/drivers/{driver}", 200, {"json": {"city": "Reno"}}, ("driver", None)),
        ("POST", f"/drivers/{driver}/devices", 201, {"json": body}, ("device", "CAR-1")),
        ("POST", f"/drivers/{driver}/devices/CAR-1/rotate-key", 200, {"json": {}}, ("device", "CAR-1")),
        ("DELETE", f"/drivers/{driver}/devices/CAR-1", 200, {}, ("device", "CAR-1")),
        ("POST", f"/risk/{driver}/recalculate-risk", 200, {}, ("driver", None)),
        ("DELETE", f"/drivers/{driver}", 202, {}, ("driver", None)),
    ]
    for method, path, status, request, subject in writes:
        [row] = await left_by(office, method, path, status=status, **request)
        template = path.replace(driver, "{driver_id}").replace("CAR-1", "{device_id}")
        assert row.action == f"{method} /api/v1{template}"
        assert row.actor is not None
        assert (row.actor_kind, row.actor.name, row.actor.address) == ("user", STAFF, "192.0.2.7")
        assert (row.subject_kind, row.subject_id) == subject
        assert row.person is not None
        assert (row.person.kind, row.person.id) == ("driver", driver)
        assert row.request_id


async def test_what_was_changed_is_named_but_not_who_it_tells_of(office: Office) -> None:
    driver = await driver_of(office)
    contact = {"city": "Reno", "email": "g@example.com"}
    [row] = await left_by(office, "PATCH", f"/drivers/{driver}", status=200, json=contact)
    assert row.details == {"changed": ["city", "email"]}
    async with office.db.read() as uow:
        kept = (await uow.conn.execute(text("SELECT string_agg(l::text, ' ') FROM audit_log l"))).scalar_one()
    assert not [word for word in (*contact.values(), STAFF, "192.0.2.7", driver) if word in kept]
    await a_plan_is_added(office)
    await reads_and_refusals_leave_none(office, driver)


async def a_plan_is_added(office: Office) -> None:
    async with office.client() as client:
        document = (await client.get("/pricing/plans/standard-1")).json()
    text_of = document.get("document")
    assert text_of, document
    new = text_of.replace('version = "standard-1"', 'version = "own-1"')
    [row] = await left_by(office, "POST", "/pricing/plans", status=201, json={"document": new})
    assert (row.subject_kind, row.subject_id) == ("plan", "own-1")
    assert row.person is None


async def reads_and_refusals_leave_none(office: Office, driver: str) -> None:
    for method, path, status in (
        ("GET", f"/drivers/{driver}", 200),
        ("GET", "/admin/policies", 200),
        ("GET", "/admin/audit", 200),
        ("GET", "/admin/audit/verify", 200),
        ("POST", "/drivers", 422),
        ("PATCH", "/drivers/DRV999", 404),
        ("POST", "/pricing/plans/nowhere/activate", 422),
    ):
        request: dict[str, Any] = {"json": {}} if method != "GET" else {}
        assert await left_by(office, method, path, status=status, **request) == [], path


async def rows_of(db: Database) -> list[AuditItem]:
    """Return all rows, the oldest first."""
    async with db.read() as uow:
        found, _ = await AuditService(db).page(uow, AuditFilter(), limit=1000, offset=0)
    return [AuditItem.of(one) for one in reversed(found)]


def an_act(name: str = "test") -> Act:
    return Act(bootstrap.record, lambda: Place(name), actor=Actor("command", "cli:me", "me"))


WRITE = text("UPDATE idempotency_keys SET key = key")
NUMBERED = text("SELECT pg_current_xact_id()")
"""What a write does, whatever it writes."""


async def test_whoever_opens_the_transaction_it_leaves_a_row_if_it_wrote(db: Database) -> None:
    with acting.doing(an_act("by hand")):
        async with db.begin() as uow:
            await uow.conn.execute(text("SELECT count(*) FROM users"))
            # A change of no rows changes nothing.
            await uow.conn.execute(WRITE)
        async with db.begin() as uow:
            await uow.conn.execute(NUMBERED)
        with acting.as_system():
            async with db.begin() as uow:
                await uow.conn.execute(NUMBERED)
    async with db.begin() as uow:
        await uow.conn.execute(NUMBERED)
    [row] = await rows_of(db)
    assert row.actor is not None
    assert (row.action, row.actor_kind, row.actor.id) == ("by hand", "command", "cli:me")


async def test_a_transaction_that_fails_takes_its_row_with_it(db: Database) -> None:
    async def fail() -> None:
        async with db.begin() as uow:
            await uow.conn.execute(NUMBERED)
            raise LookupError

    with acting.doing(an_act()), pytest.raises(LookupError):
        await fail()
    assert await rows_of(db) == []


async def test_without_its_row_nothing_is_written(db: Database) -> None:
    """A row that can't be written takes the transaction with it."""
    act = Act(bootstrap.record, lambda: Place("nul \x00 byte"))
    with acting.doing(act), pytest.raises(DBAPIError):
        async with db.begin() as uow:
            await uow.conn.execute(text("INSERT INTO audit_anchors VALUES (1, '', now())"))
    async with db.read() as uow:
        assert (await uow.conn.execute(text("SELECT count(*) FROM audit_anchors"))).scalar_one() == 0


async def test_a_request_that_is_sent_again_has_no_second_row(office: Office) -> None:
    quote = {"state": "CA", "driver_age": 40, "licence_years": 20, "annual_mileage": 9000, "coverage": "standard"}
    driver = await driver_of(office)
    async with office.client() as client:
        made = await client.post("/quotes", params={"driver_id": driver}, json=quote)
        assert made.status_code == 201, made.text
        path = f"/quotes/{made.json()['quote_id']}/bind"
        before = len(await office.rows())
        answers = [
            await client.post(path, json={"driver_id": driver}, headers={"Idempotency-Key": "once"}) for _ in range(2)
        ]
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
    [row] = await office.new_rows(before)
    assert row.subject_kind == "policy"
    assert row.person is not None
    assert row.person.id == driver


async def test_the_sign_in_leaves_rows_of_whose_it_is(office: Office) -> None:
    [login] = await office.rows()
    assert login.actor is not None
    assert (login.action, login.actor.name) == ("POST /api/v1/auth/login", STAFF)
    async with office.client(signed_in=False) as client:
        fresh = await client.post("/auth/refresh", json={"refresh_token": office.refresh_token})
        again = await client.post("/auth/refresh", json={"refresh_token": office.refresh_token})
        ended = await client.post("/auth/logout", json={"refresh_token": fresh.json()["refresh_token"]})
        second = await client.post("/auth/login", json={"username": STAFF, "password": PASSWORD})
        out = await client.post("/auth/logout", json={"refresh_token": second.json()["refresh_token"]})
        unknown = await client.post("/auth/logout", json={"refresh_token": "x" * 43})
        account = {"username": "new-one", "email": "n@example.org", "password": "a-password-for-new-1"}
        made = await client.post("/auth/register", json=account)
        wrong = await client.post("/auth/login", json={"username": STAFF, "password": "wrong"})
    statuses = [one.status_code for one in (fresh, again, ended, out, unknown, made, wrong)]
    assert statuses == [200, 401, 200, 200, 200, 201, 401]
    # To end what has ended already changes nothing, and neither does a token or password that is wrong.
    refreshed, reused, _, left, registered = await office.new_rows(1)
    assert refreshed.actor is not None
    assert refreshed.actor.name == STAFF
    assert (reused.actor_kind, reused.subject_kind, reused.details) == ("anonymous", "session", {"ended": "reuse"})
    assert (left.subject_kind, left.details) == ("session", {"ended": "logout"})
    assert left.actor is not None
    assert left.actor.name == STAFF
    assert registered.actor is not None
    assert registered.actor.name == "new-one"
    assert (registered.subject_kind, registered.details["created"]) == ("user", "user")


async def test_uploads_of_devices_leave_none(office: Office) -> None:
    await bootstrap.prepare_log(office.container, asyncio.Event())
    driver = await driver_of(office)
    async with office.client() as client:
        key = (await client.post(f"/drivers/{driver}/devices", json={"device_id": "CAR-1"})).json()["key"]
    before = len(await office.rows())
    event = {"device_id": "CAR-1", "timestamp": int(time.time() * 1000), "speed": 10}
    async with office.client(signed_in=False) as client:
        headers = {"X-Device-Key": key}
        for path, body in (("", event), ("/batch", {"events": [event]})):
            answer = await client.post(f"/telematics/events{path}", json=body, headers=headers)
            assert answer.status_code == 202, answer.text
    async with office.db.read() as uow:
        used = (await uow.conn.execute(text("SELECT last_used_at FROM device_keys"))).scalar_one()
    assert used is not None, "the key's use was noted, in nobody's name"
    assert await office.new_rows(before) == []


async def test_free_text_goes_with_the_person_it_tells_of(office: Office) -> None:
    driver = await driver_of(office)
    notice = {
        "driver_id": driver, "occurred_at": "2026-01-02T03:04:05Z", "coverage": "collision",
        "description": "Mrs. Hopper hit a tree",
    }  # fmt: skip
    [made] = await left_by(office, "POST", "/claims", status=201, json=notice)
    claim = made.subject_id
    withdrawn = {"to": "withdrawn", "reason": "by_claimant", "note": "she called and was sorry"}
    [row] = await left_by(office, "POST", f"/claims/{claim}/transition", status=200, json=withdrawn)
    assert (row.subject_kind, row.subject_id, row.details["status"]) == ("claim", claim, ["reported", "withdrawn"])
    assert row.person is not None
    assert row.person.private == {"note": "she called and was sorry"}
    async with office.db.begin() as uow:
        assert await office.service.forget(uow, "driver", driver) >= 3
    [same] = [one for one in await office.rows() if one.id == row.id]
    assert (same.person, same.erased, same.subject_id) == (None, True, claim)


async def test_erasure_leaves_a_row_and_the_chain_whole(db: Database) -> None:
    service, sequencer = AuditService(db), AuditSequencer(db)
    with acting.doing(an_act("enrol")):
        async with db.begin() as uow:
            await uow.conn.execute(NUMBERED)
            uow.note("driver", "DRV001")
    async with db.begin() as uow:
        assert await service.forget(uow, "user", "DRV001") == 0
        with pytest.raises(ValueError, match="kind"):
            await service.forget(uow, "policy", "POL-1")
    with acting.doing(an_act("erase")):
        async with db.begin() as uow:
            assert await service.forget(uow, "driver", "DRV001") == 1
    enrolled, erased = await rows_of(db)
    assert (enrolled.subject_kind, enrolled.person, enrolled.erased) == ("driver", None, True)
    assert (erased.subject_kind, erased.details) == ("audit", {"forgotten": 1})
    await sequencer.chain()
    async with db.read() as uow:
        checked = await service.check(uow, 0, 1000)
    assert (checked.intact, checked.verifier.erased, checked.waiting) == (True, 1, 0)
