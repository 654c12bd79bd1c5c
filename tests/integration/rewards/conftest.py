"""The routes of rewards over real trips and scores, and a desk that takes credits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI, Request
from sqlalchemy import func, select

from auto_insurance.identity.deps import current_user
from auto_insurance.identity.schemas import Principal, Role
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.http.app import AppOptions, AppState, attach_state, create_app
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import FrozenClock, use_clock
from auto_insurance.rewards import handlers
from auto_insurance.rewards.api import router
from auto_insurance.rewards.models import reward_entries
from auto_insurance.rewards.service import RewardService, Rulebook, TripCounter, load_rulebook
from auto_insurance.risk.service import RiskService
from auto_insurance.trips.service import TripService
from tests.support.scoring import TODAY, add_driver, add_trip, deliver, make_world, trip_event

DRIVER, OTHER = "DRV001", "DRV002"


@dataclass
class Credits:
    """Credits one policy; a reference counts once."""

    policy_id: str | None = "POL-1"
    taken: dict[str, Decimal] = field(default_factory=dict)

    async def policy_of(self, uow: UnitOfWork, driver_id: str, at: datetime) -> str | None:
        return self.policy_id

    async def credit(self, uow: UnitOfWork, policy_id: str, amount: Decimal, *, reason: str, reference: str) -> None:
        assert (policy_id, reason) == (self.policy_id, "rewards")
        self.taken.setdefault(reference, amount)


@dataclass(frozen=True)
class Club:
    """Where points are earned and spent."""

    db: Database
    app: FastAPI
    counter: TripCounter
    rewards: RewardService
    risk: RiskService
    credits: Credits

    def client(self, driver_id: str = DRIVER) -> httpx.AsyncClient:
        headers = {"X-Who": driver_id}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://test/api/v1", headers=headers
        )

    async def get(self, path: str, driver_id: str = DRIVER) -> dict[str, Any]:
        async with self.client(driver_id) as client:
            answer = await client.get(f"/rewards/{path}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def redeem(self, points: int, key: str) -> httpx.Response:
        async with self.client() as client:
            headers = {"Idempotency-Key": key}
            return await client.post("/rewards/me/redeem", json={"points": points}, headers=headers)

    async def drove(self, start: datetime, **sums: Any) -> UUID:
        """Add a calm trip and tell of it."""
        facts = {"distance_miles": 5.0, "phone_known_miles": 5.0, "speed_limit_known_miles": 5.0} | sums
        async with self.db.begin() as uow:
            trip_id = await add_trip(uow, DRIVER, start, **facts)
        await self.tell("trip.completed", trip_id)
        return trip_id

    async def tell(self, type_: str, *trip_ids: UUID) -> None:
        """Deliver news of trips, each twice."""
        told = [trip_event(type_, trip_id, DRIVER) for trip_id in trip_ids]
        await deliver(self.db, handlers.subscription(self.counter), [*told, *told])

    async def grant(self, points: int) -> None:
        """Put points into the ledger as if a milestone had given them."""
        async with self.db.begin() as uow:
            values = {
                "entry_id": ids.new_uuid(), "driver_id": DRIVER, "seq": 1, "kind": "trip", "key": "trip:x",
                "points": points, "balance": points, "is_correction": False, "reason": "test", "rules_version": "t",
                "created_at": TODAY,
            }  # fmt: skip
            await uow.conn.execute(reward_entries.insert().values(values))

    async def sums(self) -> dict[str, int]:
        """Return what the entries of each key add up to, without zeros."""
        async with self.db.read() as uow:
            c = reward_entries.c
            rows = await uow.conn.execute(select(c.key, func.sum(c.points)).group_by(c.key))
            return {key: int(points) for key, points in rows if points}


def _who(request: Request) -> Principal:
    name = request.headers["X-Who"]
    return Principal(user_id=_USERS[name], username="x", roles=frozenset({Role.DRIVER}), driver_id=name)


_USERS = {name: ids.new_uuid() for name in (DRIVER, OTHER)}


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    at = FrozenClock(TODAY)
    with use_clock(at):
        yield at


@pytest.fixture
def rulebook() -> Rulebook:
    return load_rulebook()


@pytest.fixture
async def club(db: Database, frozen: FrozenClock, rulebook: Rulebook) -> Club:
    world, desk = make_world(db), Credits()
    counter = TripCounter(TripService(), world.risk, rulebook)
    rewards = RewardService(world.drivers, world.risk, desk, rulebook)
    app = create_app(AppOptions(), [router])
    attach_state(app, AppState(database=db, services={RewardService: rewards}))
    app.dependency_overrides[current_user] = _who
    async with db.begin() as uow:
        for driver_id in (DRIVER, OTHER):
            await add_driver(uow, driver_id)
    return Club(db, app, counter, rewards, world.risk, desk)
