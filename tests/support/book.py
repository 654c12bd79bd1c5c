"""A small installation with some of everything, made over HTTP, to which more of everything can be added."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from auto_insurance.bootstrap import Container
from auto_insurance.identity.schemas import NewUser, Role
from auto_insurance.identity.service import UserService
from auto_insurance.kernel import clock
from auto_insurance.risk.service import RiskService
from tests.support.product import client_of
from tests.support.scoring import add_trip

PASSWORD = "quiet-harbour-lantern-7"


@dataclass
class Book:
    """An installation with some drivers, to which more is added."""

    container: Container
    http: httpx.AsyncClient
    values: dict[str, str] = field(default_factory=dict)
    drivers: int = 0
    days: int = 0

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """The way to the same application, for somebody else."""
        return self.http._transport

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


@asynccontextmanager
async def staffed(container: Container) -> AsyncIterator[Book]:
    """Nobody is insured yet; the administrator is signed in."""
    async with client_of(container) as http:
        async with container.database.begin() as uow:
            boss = NewUser(username="boss", roles=frozenset({Role.ADMIN}))
            await container.get(UserService).ensure_user(uow, boss, PASSWORD)
        await sign_in(http, "boss")
        yield Book(container, http)


async def sign_in(http: httpx.AsyncClient, username: str) -> None:
    """Let a client be somebody's."""
    answer = await http.post("/auth/login", json={"username": username, "password": PASSWORD})
    http.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
