"""Accounts as staff keep them."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import text

from auto_insurance.identity.schemas import Role
from tests.support.people import People


async def test_staff_make_find_change_and_close_accounts(people: People) -> None:
    async with people.client(await people.token("admin", "admin123")) as client:
        new = {"username": "ursula", "email": "ursula@example.com", "roles": ["underwriter"]}
        made = await client.post("/admin/users", json=new)
        assert (made.status_code, made.json()["roles"], made.json()["is_admin"]) == (201, ["underwriter"], False)
        user = f"/admin/users/{made.json()['user_id']}"
        assert (await client.post("/admin/users", json=new)).status_code == 409
        found = await client.get("/admin/users", params={"search": "URSULA@", "role": "underwriter", "active": True})
        assert (found.headers["X-Total-Count"], [item["username"] for item in found.json()]) == ("1", ["ursula"])
        names = await client.get("/admin/users", params={"sort": "username", "limit": 2, "skip": 1})
        assert (names.headers["X-Total-Count"], [item["username"] for item in names.json()]) == (
            "4",
            ["driver0001", "driver0002"],
        )
        assert "hash" not in found.text
        assert [u["username"] for u in (await client.get("/admin/users", params={"search": "DRV002"})).json()] == [
            "driver0002"
        ]
        assert (await client.get("/admin/users", params={"search": "%"})).json() == []
        changed = await client.patch(user, json={"roles": ["agent", "auditor"], "email": None, "is_active": None})
        assert (changed.json()["roles"], changed.json()["email"], changed.json()["is_active"]) == (
            ["agent", "auditor"],
            None,
            True,
        )
        taken = await client.post("/admin/users", json={"username": "other", "email": "x@example.com"})
        again = await client.patch(f"/admin/users/{taken.json()['user_id']}", json={"email": "X@example.com"})
        assert again.status_code == 200, "its own address in another case"
        clash = await client.patch(user, json={"email": "X@EXAMPLE.com"})
        assert (clash.status_code, clash.json()["errors"][0]["field"]) == (409, "email")
        assert (await client.patch(user, json={"password_hash": "x"})).status_code == 422
        assert (await client.patch(user, json={"username": "root"})).status_code == 422
        closed = await client.delete(user)
        assert closed.json()["is_active"] is False
        assert (await client.get(f"/admin/users/{uuid4()}")).status_code == 404


async def test_the_last_active_admin_stays(people: People) -> None:
    async with people.client(await people.token("admin", "admin123")) as client:
        me = f"/admin/users/{(await client.get('/auth/me')).json()['user_id']}"
        for answer in (
            await client.delete(me),
            await client.patch(me, json={"roles": ["auditor"]}),
            await client.patch(me, json={"is_active": False}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
        second = {"username": "second", "roles": ["admin"], "password": "correct horse battery"}
        assert (await client.post("/admin/users", json=second)).status_code == 201
        assert (await client.delete(me)).status_code == 200
        assert (await client.get("/auth/me")).status_code == 401, "its sessions ended with it"


async def test_a_new_account_sets_its_password_by_the_link_that_staff_hand_on(people: People) -> None:
    async with people.client(await people.token("admin", "admin123")) as client:
        made = await client.post("/admin/users", json={"username": "aaron", "roles": ["agent"]})
        link = await client.post(f"/admin/users/{made.json()['user_id']}/password-reset")
        assert link.status_code == 201
        assert (await client.post(f"/admin/users/{made.json()['user_id']}/unlock")).status_code == 200
        assert (await client.delete(f"/admin/users/{made.json()['user_id']}/sessions")).json() == {"ended": 0}
    token = link.json()["url"].partition("#token=")[2]
    async with people.client() as client:
        body = {"token": token, "new_password": "correct horse battery"}
        assert (await client.post("/auth/password-reset/confirm", json=body)).status_code == 200
    assert (await people.auth.authenticate(await people.token("aaron", "correct horse battery"))).roles == {"agent"}


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_nobody_but_an_admin_keeps_accounts(people: People, role: Role) -> None:
    token = await people.token("driver0001", "password0001")
    async with people.db.begin() as uow:
        await uow.conn.execute(text(f"UPDATE users SET roles = '{{{role.value}}}' WHERE username = 'driver0001'"))
    async with people.client(token) as client:
        listed = await client.get("/admin/users")
        assert listed.status_code == (200 if role is Role.AUDITOR else 403)
        me = (await client.get("/auth/me")).json()["user_id"]
        assert (await client.patch(f"/admin/users/{me}", json={"roles": ["admin"]})).status_code == 403
        assert (await client.post("/admin/users", json={"username": "spare", "roles": ["admin"]})).status_code == 403


async def test_an_integration_is_nothing_else(people: People) -> None:
    async with people.client(await people.token("admin", "admin123")) as client:
        for wrong in (
            {"username": "erp", "roles": ["service", "admin"]},
            {"username": "erp", "roles": ["service"], "password": "correct horse battery"},
        ):
            assert (await client.post("/admin/users", json=wrong)).status_code == 422
