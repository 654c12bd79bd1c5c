"""The whole product with a small book: drivers with scores, premiums, trips, a policy, events, a device."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from auto_insurance.bootstrap import Container
from auto_insurance.contracts import topics
from auto_insurance.drivers.schemas import DeviceAssign
from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.clock import FrozenClock, use_clock
from auto_insurance.pricing.service import PricingService, QuoteRequest
from auto_insurance.risk.service import RiskService
from auto_insurance.telematics.columns import of_samples
from auto_insurance.telematics.service import TelematicsService
from tests.support.product import client_of, product
from tests.support.scoring import TODAY, add_driver, add_trip
from tests.support.trips import Drive

DAY = timedelta(days=1)
SCORES = {"DRV001": 20.0, "DRV002": 40.0, "DRV003": 40.1, "DRV004": 70.0, "DRV005": 90.0}
"""Beside them DRV006, without a score."""


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    """Noon of 15 June 2026."""
    at = FrozenClock(TODAY)
    with use_clock(at):
        yield at


@pytest.fixture
async def container(database_url: str, frozen: FrozenClock) -> AsyncIterator[Container]:
    """The whole product on a fresh database."""
    async with product(database_url) as built:
        await built.log.ensure_topics(topics.ALL)
        yield built


@pytest.fixture
async def staff(container: Container) -> AsyncIterator[httpx.AsyncClient]:
    """A client of all routes, signed in as an administrator."""
    async with client_of(container, admin=True) as client:
        yield client


@pytest.fixture
async def book(container: Container) -> Container:
    """Six drivers; the first has a score of its own making, a premium, a policy's quote, a device and events."""
    async with container.database.begin() as uow:
        for number in range(1, 7):
            name = f"{'=Ada' if number == 2 else 'Ada'} Number{number}"
            await add_driver(uow, f"DRV00{number}", full_name=name, email=f"ada{number}@example.test",
                             enrolled_at=TODAY - number * 20 * DAY)  # fmt: skip
        for driver_id, score in SCORES.items():
            await container.get(RiskService).score_driver(uow, driver_id, "test")
            await uow.conn.execute(
                text("UPDATE risk_scores SET risk_score = :score WHERE driver_id = :id"),
                {"score": score, "id": driver_id},
            )
        for back in range(1, 11):
            await add_trip(uow, "DRV001", TODAY - back * DAY, distance_miles=10.0, duration_s=1800.0,
                           harsh_braking_count=1, device_id="DEV-1")  # fmt: skip
        await add_trip(uow, "DRV002", TODAY - DAY, distance_miles=3.5, speeding_count=2)
        await add_trip(uow, "DRV002", TODAY - DAY, distance_miles=99.0, status="withdrawn")
        await container.get(PricingService).charge_initial(uow, "DRV001")
        assignment = DeviceAssign(device_id="DEV-1", vehicle_id="VEH-DRV001")
        await container.get(DriverService).assign_device(uow, "DRV001", assignment)
        drive = Drive(device_id="DEV-1", driver_id="DRV001", t_us=_us(TODAY - timedelta(hours=3))).go(12.0, 120)
        await container.get(TelematicsService).store(uow, of_samples(drive.samples))
    return container


def _us(at: Any) -> int:
    return int(at.timestamp() * 1_000_000)


async def insured(container: Container, staff: httpx.AsyncClient, driver_id: str) -> str:
    """Bind a policy that begins today; return its id."""
    async with container.database.begin() as uow:
        quote = await container.get(PricingService).quote(uow, QuoteRequest(), driver_id=driver_id)
    answer = await staff.post(f"/quotes/{quote.quote_id}/bind", json={})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["policy_id"])


async def value(database: Database, sql: str, **params: Any) -> Any:
    """Return the first column of the only row of a query."""
    async with database.read() as uow:
        return (await uow.conn.execute(text(sql), params)).scalar_one()
