"""Routes of claims, a driver with vehicle and device, and a stand-in for policies that covers what it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI, Request
from sqlalchemy import insert

from auto_insurance.claims.api import router
from auto_insurance.claims.cover import LossCover
from auto_insurance.claims.service import ClaimIntake, ClaimService, Freezer
from auto_insurance.drivers.models import device_assignments, devices
from auto_insurance.drivers.service import DriverService
from auto_insurance.identity.deps import current_user
from auto_insurance.identity.schemas import Principal, Role
from auto_insurance.identity.service import DeviceKeyService, KeyOptions
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.http.app import AppOptions, AppState, attach_state, create_app
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import FrozenClock, to_us, use_clock
from auto_insurance.telematics.columns import of_samples
from auto_insurance.telematics.schemas import Sample
from auto_insurance.telematics.service import TelematicsService
from tests.support.scoring import TODAY, add_driver
from tests.support.trips import Drive

DRIVER, OTHER, DEVICE = "DRV001", "DRV002", "DEV-1"
LOSS = TODAY - timedelta(hours=2)


@dataclass
class Covered:
    """Covers collision and liability from ``since`` on."""

    since: datetime = TODAY - timedelta(days=30)
    limit: Decimal | None = Decimal("50000.00")
    asked: list[tuple[str, str | None, datetime, str]] = field(default_factory=list)

    async def for_loss(
        self, uow: UnitOfWork, driver_id: str, vehicle_id: str | None, at: datetime, coverage: str
    ) -> LossCover | None:
        self.asked.append((driver_id, vehicle_id, at, coverage))
        if at < self.since or coverage == "comprehensive":
            return None
        return LossCover(policy_id="POL-1", term=2, limit=self.limit, deductible=Decimal("500.00"), currency="USD")


@dataclass(frozen=True)
class Desk:
    """Where claims are handled."""

    db: Database
    app: FastAPI
    telematics: TelematicsService
    cover: Covered
    intake: ClaimIntake
    claims: ClaimService

    def driver(self, driver_id: str = DRIVER) -> httpx.AsyncClient:
        return self._client(driver_id)

    def staff(self) -> httpx.AsyncClient:
        return self._client("")

    def _client(self, who: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1", headers={"X-Who": who})

    async def store(self, samples: Sequence[Sample]) -> None:
        """Store telemetry as a consumer does."""
        async with self.db.begin() as uow:
            await self.telematics.store(uow, of_samples(samples))

    async def reported(self, **changes: Any) -> dict[str, Any]:
        """Report a loss as the driver and return the answer."""
        body = {"occurred_at": LOSS.isoformat(), "coverage": "collision", "description": "Hit a post."} | changes
        async with self.driver() as client:
            answer = await client.post("/claims", json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def move(self, claim_id: str, to: str, **more: Any) -> httpx.Response:
        async with self.staff() as client:
            return await client.post(f"/claims/{claim_id}/transition", json={"to": to, **more})

    async def book(self, claim_id: str, kind: str, amount: str, key: str) -> httpx.Response:
        async with self.staff() as client:
            return await client.post(
                f"/claims/{claim_id}/amounts", json={"kind": kind, "amount": amount}, headers={"Idempotency-Key": key}
            )


def around(loss: datetime = LOSS, before_s: int = 90, after_s: int = 60, **drive: Any) -> list[Sample]:
    """Return a drive at 1 Hz around a loss."""
    start = to_us(loss - timedelta(seconds=before_s))
    return Drive(device_id=DEVICE, t_us=start, **drive).go(15.0, before_s + after_s).samples


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    at = FrozenClock(TODAY)
    with use_clock(at):
        yield at


def _who(request: Request) -> Principal:
    """Return whom the test speaks as: a driver by name, staff without one. Always the same user for the same name."""
    name = request.headers["X-Who"]
    role = Role.DRIVER if name else Role.ADMIN
    return Principal(user_id=_USERS[name], username="x", roles=frozenset({role}), driver_id=name or None)


_USERS = {name: ids.new_uuid() for name in ("", DRIVER, OTHER)}


@pytest.fixture
async def desk(db: Database, frozen: FrozenClock) -> Desk:
    telematics = TelematicsService()
    drivers = DriverService(cast("Any", None), DeviceKeyService(db, KeyOptions()))
    cover, freezer = Covered(), Freezer(telematics, drivers)
    intake, claims = ClaimIntake(drivers, cover, freezer), ClaimService(cover, freezer)
    app = create_app(AppOptions(), [router])
    attach_state(app, AppState(database=db, services={ClaimIntake: intake, ClaimService: claims}))
    app.dependency_overrides[current_user] = _who
    async with db.begin() as uow:
        for driver_id in (DRIVER, OTHER):
            await add_driver(uow, driver_id)
        await uow.conn.execute(insert(devices).values(device_id=DEVICE, kind="obd", created_at=TODAY))
        held = {"device_id": DEVICE, "driver_id": DRIVER, "vehicle_id": "VEH-DRV001"}
        await uow.conn.execute(insert(device_assignments).values(**held, valid_from=TODAY - timedelta(days=400)))
    return Desk(db, app, telematics, cover, intake, claims)
