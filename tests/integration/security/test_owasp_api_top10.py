"""OWASP API Security Top 10 (2023), a section each, against the whole application.

What holds for every route and role by table is in ``tests/architecture/test_rights.py``; here real people ask.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from tools.routes import RouteInfo, routes_of

from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints.api import bare_app
from auto_insurance.identity.schemas import NewUser, Role
from auto_insurance.identity.service import UserService
from auto_insurance.infra.config import ConfigError, load_settings
from auto_insurance.infra.http.app import API_PREFIX
from auto_insurance.kernel import clock
from tests.support.book import PASSWORD, Book, sign_in, staffed
from tests.support.product import SECRET, client_of

ROUTES = [route for route in routes_of(bare_app()) if route.path.startswith(API_PREFIX)]
READS_OF_ONE = ("driver_id", "policy_id", "claim_id", "device_id", "quote_id", "trip_id")


@dataclass
class World:
    """An administrator's book, and the driver who is somebody else's neighbour in it."""

    book: Book
    stranger: httpx.AsyncClient
    """Signed in as the second driver."""


@asynccontextmanager
async def _world(container: Container, *, insured: bool) -> AsyncIterator[World]:
    async with staffed(container) as book:
        if insured:
            await book.grow(2, 1)
        else:
            for _ in range(2):
                await book.post("/drivers", {"state": "CA"})
        async with container.database.begin() as uow:
            second = NewUser(username="second", roles=frozenset({Role.DRIVER}), driver_id="DRV002")
            await container.get(UserService).ensure_user(uow, second, PASSWORD)
        # The same application: to build another takes longer than most of these tests.
        async with httpx.AsyncClient(transport=book.transport, base_url=book.http.base_url) as stranger:
            await sign_in(stranger, "second")
            yield World(book, stranger)


@pytest.fixture
async def world(container: Container) -> AsyncIterator[World]:
    """Two insured drivers, who have driven."""
    async with _world(container, insured=True) as made:
        yield made


@pytest.fixture
async def people(container: Container) -> AsyncIterator[World]:
    """Two drivers of whom nothing is known."""
    async with _world(container, insured=False) as made:
        yield made


def of_one(route: RouteInfo) -> bool:
    """Return whether a route is about one thing of a driver's."""
    return any(f"{{{name}}}" in route.path for name in READS_OF_ONE)


def filled(route: RouteInfo, values: dict[str, str]) -> str:
    """Return a route's path; what is not known of it is some id."""
    path = route.path.removeprefix(API_PREFIX)
    for parameter in route.parameters:
        if parameter.place == "path":
            some = "1" if parameter.name == "number" else "0198c0de-0000-7000-8000-000000000001"
            path = path.replace(f"{{{parameter.name}}}", values.get(parameter.name, some))
    return path


async def test_api1_object_level_access(world: World) -> None:
    """The first driver's things, by their real ids, are nobody else's: every route that names one."""
    values = {name: world.book.values[name] for name in READS_OF_ONE}
    asked, let_in = 0, []
    for route in filter(of_one, ROUTES):
        if "public" in route.effective_rules or "device" in route.effective_rules:
            continue
        answer = await world.stranger.request(route.method, filled(route, values), json={})
        asked += 1
        if answer.status_code not in {403, 404, 422} or world.book.values["driver_id"] in answer.text:
            let_in.append(f"{route.method} {route.path}: {answer.status_code}")
    assert let_in == []
    assert asked > 60
    own = await world.stranger.get("/drivers/me")
    assert (own.status_code, own.json()["driver_id"]) == (200, "DRV002")
    unknown = await world.stranger.get("/drivers/DRV999")
    foreign = await world.stranger.get("/drivers/DRV001")
    same = ("status", "title", "detail", "code")
    assert [unknown.json()[name] for name in same] == [foreign.json()[name] for name in same]


async def test_api2_authentication(people: World) -> None:
    """Tokens that are not ours, not now, or not for here."""
    token = people.stranger.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    late = {**claims, "exp": int((clock.now() - timedelta(minutes=1)).timestamp())}
    admin = {**claims, "roles": ["admin"], "driver_id": "DRV001"}
    head, body, sign = token.split(".")
    nothing = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    forged = [
        f"{nothing}.{body}.",
        f"{nothing}.{body}.{sign}",
        f"{head}.{body}.{sign[:-2]}xx",
        jwt.encode(claims, "another-secret-of-32-bytes-and-more", algorithm="HS256"),
        jwt.encode(late, SECRET, algorithm="HS256"),
        jwt.encode({**claims, "aud": "elsewhere"}, SECRET, algorithm="HS256"),
        jwt.encode({**claims, "iss": "somebody"}, SECRET, algorithm="HS256"),
        jwt.encode({**claims, "sid": "0198c0de-0000-7000-8000-000000000001"}, SECRET, algorithm="HS256"),
        "aik_0000000000000000000000000000000000000000000",
        "",
        "x" * 5000,
    ]
    for one in forged:
        answer = await people.stranger.get("/drivers/me", headers={"Authorization": f"Bearer {one}"})
        assert answer.status_code == 401, one[:60]
        assert "www-authenticate" in answer.headers
    roles = await people.stranger.get(
        "/drivers/DRV001", headers={"Authorization": f"Bearer {jwt.encode(admin, SECRET, algorithm='HS256')}"}
    )
    assert roles.status_code == 404, "roles are those of the account, whatever a token says"
    wrong = [
        (await people.stranger.post("/auth/login", json={"username": name, "password": "wrong"})).json()
        for name in ("second", "nobody")
    ]
    assert wrong[0]["code"] == wrong[1]["code"]
    for _ in range(6):
        last = await people.stranger.post("/auth/login", json={"username": "second", "password": "wrong"})
    assert last.status_code == 429
    assert int(last.headers["Retry-After"]) > 0


async def test_api3_properties(people: World) -> None:
    """Nobody sets what is not theirs to set, and no answer holds a secret."""
    for change in ({"status": "erased"}, {"driver_id": "DRV001"}, {"prior_claims": 0}, {"coverage": "full"}):
        answer = await people.stranger.patch("/drivers/me", json=change)
        assert answer.status_code == 422, change
        assert next(iter(change)) in answer.json()["errors"][0]["field"]
    account = {"username": "third", "email": "third@example.com", "password": PASSWORD}
    assert (await people.stranger.post("/auth/register", json={**account, "roles": ["admin"]})).status_code == 422
    document = bare_app().openapi()
    told = {name for schema in document["components"]["schemas"].values() for name in schema.get("properties", {})}
    assert not {name for name in told if "hash" in name and "password" in name}
    assert not {name for name in told if name in {"key_hash", "token_hash", "secret_salt", "old_salt"}}


async def test_api4_resources(people: World) -> None:
    """Every request has a size, every list an end."""
    http = people.stranger
    assert (await http.get("/drivers/me/trips?page_size=101")).status_code == 422
    assert (await http.get("/drivers/me/trips?page=100000000000")).status_code == 422
    assert (await http.get("/drivers/me/statistics?period_days=99999")).status_code == 422
    big = json.dumps({"city": "x" * 2_000_000})
    assert (await http.patch("/drivers/me", content=big)).status_code == 413
    bomb = gzip.compress(b"[" * 50_000_000)
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert (await http.post("/telematics/events/batch", content=bomb, headers=packed)).status_code == 413
    deep = b"[" * 100_000
    plain = {"Content-Type": "application/json"}
    assert (await http.patch("/drivers/me", content=deep, headers=plain)).status_code in {400, 422}


async def test_api5_functions(people: World) -> None:
    """A driver's token opens no route of staff."""
    open_ = []
    staff = [route for route in ROUTES if route.permission is not None]
    for route in staff:
        answer = await people.stranger.request(route.method, filled(route, {}), json={})
        if answer.status_code not in {403, 404}:  # 404: it is about a driver whom the caller does not know
            open_.append(f"{route.method} {route.path}: {answer.status_code}")
    assert open_ == []
    assert len(staff) > 60


async def test_api6_business_flows(world: World, container: Container) -> None:
    """Quotes are not to be had without end, and one binds once."""
    async with client_of(container) as anybody:
        form = {"state": "CA", "driver_age": 40}
        answers = [(await anybody.post("/quotes", json=form)).status_code for _ in range(40)]
    assert set(answers) == {201, 429}
    quote = world.book.values["quote_id"]
    again = await world.book.http.post(f"/quotes/{quote}/bind", json={})
    assert (again.status_code, again.json()["policy_id"]) == (201, world.book.values["policy_id"]), "the same one"
    listed = (await world.book.http.get(f"/policies?driver_id={world.book.values['driver_id']}")).json()
    assert listed["total"] == 1


INSIDE = (
    "http://127.0.0.1:5432/",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://0x7f000001/",
    "http://2130706433/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "https://user:pass@example.com/",
    "https://localhost/",
    "https://metadata.internal/",
)


async def test_api7_requests_to_ourselves(people: World) -> None:
    """Webhooks go nowhere inside; where a name leads is looked at again at each sending (webhooks' own tests)."""
    for url in INSIDE:
        answer = await people.book.http.post("/webhooks", json={"url": url, "events": ["trip.completed"]})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.url"), url


async def test_api8_configuration(people: World) -> None:
    """Safe headers, no page of another origin, no internals, no development secrets in production."""
    answer = await people.stranger.get("/drivers/me", headers={"Origin": "https://evil.example"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "private" in answer.headers["cache-control"] or "no-store" in answer.headers["cache-control"]
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "server" not in answer.headers
    odd = await people.stranger.get("/drivers/%00")
    assert odd.status_code in {404, 422}
    for word in ("Traceback", "sqlalchemy", "asyncpg", "/src/"):
        assert word not in odd.text
    with pytest.raises(ConfigError, match="JWT_SECRET_KEY"):
        load_settings({"ENVIRONMENT": "production", "DATABASE_URL": "postgresql://x@127.0.0.1/x"}, None, {})


def test_api9_inventory() -> None:
    """Every route under the prefix is documented; outside of it there are the known few."""
    assert [f"{route.method} {route.path}" for route in ROUTES if not route.documented] == [
        "GET /api/v1/drivers/{driver_id}/trips/statistics"
    ]
    outside = {route.path for route in routes_of(bare_app())} - {route.path for route in ROUTES}
    pages = {"/docs", "/docs/oauth2-redirect", "/redoc"}
    assert outside == {"/", "/health", "/live", "/ready", "/metrics"} | pages
    assert {route.path.split("/")[2] for route in ROUTES} == {"v1"}


async def test_api10_what_others_tell(container: Container) -> None:
    """What a payment provider tells counts only with its signature."""
    async with client_of(container) as anybody:
        told: dict[str, Any] = {"payment_id": "0198c0de-0000-7000-8000-000000000001", "status": "succeeded"}
        for headers in ({}, {"X-Payment-Signature": "00"}, {"X-Payment-Signature": "é".encode()}):
            answer = await anybody.post("/payments/callback", json=told, headers=headers)  # type: ignore[arg-type]
            assert answer.status_code in {401, 422, 503}
