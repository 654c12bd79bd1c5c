"""No route asks once per row: a larger book takes the same statements, in the same order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from tools.routes import RouteInfo, routes_of

from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints.api import bare_app
from auto_insurance.identity.schemas import NewUser, Role
from auto_insurance.identity.service import UserService
from auto_insurance.infra.http.app import API_PREFIX
from auto_insurance.kernel import clock
from auto_insurance.risk.service import RiskService
from tests.support.product import client_of
from tests.support.scoring import add_trip
from tests.support.statements import Statements, counted

READS = [r for r in routes_of(bare_app()) if r.method == "GET" and r.path.startswith(API_PREFIX)]
FEW, MORE = 2, 12
SESSION = "FROM sessions JOIN users"
"""Looked at once a second, whatever is asked."""
PASSWORD = "quiet-harbour-lantern-7"
OF_ONE = {
    "/admin/partitions/jobs/{job_id}": "one row by its key",
    "/telematics/import/{job_id}": "one row by its key",
    "/pricing/plans/{version}/dislocations/{dislocation_id}": "one report by its key",
    "/pricing/plans/{version}/dislocations/{dislocation_id}/page": "the same report as a page",
    "/privacy/proofs/{proof_id}": "one proof by its key",
    "/privacy/proofs/{proof_id}/verify": "one proof by its key; reads the chain in steps",
    "/policies/{policy_id}/invoices/{number}/document": "one invoice by its number",
    "/admin/dead-letters/{letter_id}": "one letter by its key",
    "/privacy/erasures/{request_id}": "one request by its key",
    "/auth/oidc/start": "leads away from here",
    "/auth/oidc/callback": "comes back from there",
    "/auth/me": "the caller's own row",
    "/drivers/{driver_id}/export": "reads in steps of bounded size, on purpose",
    "/privacy/erasures/{request_id}/plan": "asks once per table, whatever is in it",
    "/claims/{claim_id}/evidence/verify": "one claim; its versions in one statement",
}
"""Routes without rows to multiply, and why."""


@dataclass
class Book:
    """An installation with some drivers, to which more is added."""

    container: Container
    http: httpx.AsyncClient
    values: dict[str, str] = field(default_factory=dict)
    drivers: int = 0
    days: int = 0

    async def post(self, path: str, body: Mapping[str, Any], ok: int = 201) -> dict[str, Any]:
        """Send; return the answer."""
        answer = await self.http.post(path, json=body)
        assert answer.status_code == ok, f"{path}: {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    async def grow(self, drivers: int, rows: int) -> None:
        """Add drivers with all that belongs to one, and rows of everything to the first driver."""
        for _ in range(drivers):
            await self._driver()
        await self._drives(self.values["driver_id"], rows)
        for number in range(rows):
            await self._of_the_first(number)
        async with self.container.database.begin() as uow:
            for statement in _ROWS:
                await uow.conn.execute(
                    text(statement), {"rows": rows, "seed": self.days, "trip_id": UUID(self.values["trip_id"])}
                )

    async def _driver(self) -> None:
        self.drivers += 1
        one = f"{self.drivers:03d}"
        made = await self.post(
            "/drivers", {"state": "CA", "full_name": f"Somebody {one}", "date_of_birth": "1980-01-01"}
        )
        driver = made["driver_id"]
        vehicle = await self.post(f"/drivers/{driver}/vehicles", {"make": "M", "model": "M", "year": 2020})
        await self.post(f"/drivers/{driver}/devices", {"device_id": f"DEV-{driver}"})
        await self._drives(driver, 2)
        quote = await self.post(f"/quotes?driver_id={driver}", {})
        policy = await self.post(f"/quotes/{quote['quote_id']}/bind", {})
        trip = (await self.http.get(f"/drivers/{driver}/trips")).json()["items"][0]["trip_id"]
        hook = {} if self.drivers > 1 else await self._hook()
        claim = await self._claim(driver, self.drivers)
        self.values = self.values or {
            "driver_id": driver,
            "vehicle_id": vehicle["vehicle_id"],
            "device_id": f"DEV-{driver}",
            "quote_id": quote["quote_id"],
            "policy_id": policy["policy_id"],
            "trip_id": trip,
            "claim_id": claim["claim_id"],
            **hook,
        }

    async def _hook(self) -> dict[str, str]:
        made = await self.post("/webhooks", {"url": "https://example.com/hook", "events": ["trip.completed"]})
        return {"endpoint_id": made["endpoint_id"]}

    async def _claim(self, driver: str, number: int) -> dict[str, Any]:
        at = clock.now() - timedelta(minutes=number + 1)
        body = {"driver_id": driver, "occurred_at": at.isoformat(), "coverage": "collision", "description": "a test"}
        return await self.post("/claims", body)

    async def _drives(self, driver: str, trips: int) -> None:
        async with self.container.database.begin() as uow:
            for _ in range(trips):
                self.days += 1
                start = clock.now() - timedelta(hours=3 * self.days)
                await add_trip(uow, driver, start, distance_miles=12.0, harsh_braking_count=2)
            await self.container.get(RiskService).score_driver(uow, driver, "a test")

    async def _of_the_first(self, number: int) -> None:
        driver = self.values["driver_id"]
        trip = (await self.http.get(f"/drivers/{driver}/trips?page_size=100")).json()["items"][number]["trip_id"]
        await self.http.post(f"/drivers/{driver}/trips/{trip}/dispute", json={"reason": "not_me"})
        await self._claim(driver, 10 + number)
        await self.post(f"/pricing/{driver}/recalculate-premium", {"note": "a test"})


_ROWS = (
    "INSERT INTO trip_events (trip_id, seq, kind, severity, started_at, duration_s, asserted) "
    "SELECT :trip_id, :seed * 100 + n, 'harsh_brake', 'severe', now(), 1, false "
    "FROM generate_series(1, :rows) AS n",
)


@pytest.fixture
async def book(container: Container) -> AsyncIterator[Book]:
    """Two drivers, signed in as the administrator."""
    async with client_of(container) as http:
        async with container.database.begin() as uow:
            boss = NewUser(username="boss", roles=frozenset({Role.ADMIN}))
            await container.get(UserService).ensure_user(uow, boss, PASSWORD)
        signed_in = await http.post("/auth/login", json={"username": "boss", "password": PASSWORD})
        http.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
        made = Book(container, http)
        await made.grow(FEW, 1)
        yield made


def _path(route: RouteInfo, values: Mapping[str, str]) -> str:
    version = values["risk" if "/risk/" in route.path else "plan"]
    path = route.path.removeprefix(API_PREFIX).format(version=version, **values)
    now = clock.now()
    query = {"q": "Somebody", "from": (now - timedelta(days=1)).isoformat(), "to": now.isoformat()}
    wanted = {p.info.alias or p.name for p in route.parameters if p.place == "query" and p.info.is_required()}
    return str(httpx.URL(path, params={name: query[name] for name in wanted}))


async def test_no_read_asks_once_per_row(book: Book) -> None:
    policy = (await book.http.get(f"/policies/{book.values['policy_id']}")).json()
    score = (await book.http.get(f"/risk/{book.values['driver_id']}/score")).json()
    price = (await book.http.get(f"/pricing/{book.values['driver_id']}/breakdown")).json()
    values = {
        **book.values,
        "name": policy["documents"][0],
        "user_id": (await book.http.get("/auth/me")).json()["user_id"],
        "risk": score["model_version"],
        "plan": price["charged"]["plan_version"],
    }
    few = {route.path: await _asked(book, route, values) for route in READS if not _alone(route)}
    await book.grow(MORE, MORE)
    many = {route.path: await _asked(book, route, values) for route in READS if not _alone(route)}
    wrong = {
        path: f"with few rows\n{few[path]}\nwith more\n{asked}"
        for path, asked in many.items()
        # What is learned once, such as plans and types, was asked for with the first.
        if len(asked) > len(few[path])
    }
    assert not wrong, "\n\n".join(f"{path}: {what}" for path, what in wrong.items())


def _alone(route: RouteInfo) -> bool:
    return route.path.removeprefix(API_PREFIX) in OF_ONE


async def _asked(book: Book, route: RouteInfo, values: Mapping[str, str]) -> Statements:
    path = _path(route, values)
    with counted(book.container.database) as found:
        answer = await book.http.get(path)
    assert answer.status_code == 200, f"{path}: {answer.text[:300]}"
    return Statements(sql for sql in found if SESSION not in sql)


def test_routes_without_rows_are_routes() -> None:
    assert set(OF_ONE) <= {route.path.removeprefix(API_PREFIX) for route in READS}
