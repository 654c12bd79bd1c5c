"""A small world for tests of policies: drivers with quotes, the service over real tables, a ledger that remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

import httpx

from auto_insurance.identity.deps import current_user, optional_user
from auto_insurance.identity.schemas import Principal, Role
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.infra.http.app import AppOptions, AppState, attach_state, create_app
from auto_insurance.kernel import ids
from auto_insurance.policies.api import router
from auto_insurance.policies.earning import written
from auto_insurance.policies.papers import Papers
from auto_insurance.policies.postings import Booking
from auto_insurance.policies.records import Actor, Policy, Snapshot
from auto_insurance.policies.service import BindOrder, EndorseOrder, PolicyOptions, PolicyService
from auto_insurance.policies.writer import Change
from auto_insurance.pricing.plan_parts import RatingPlan
from auto_insurance.pricing.service import PricingService, Quote, QuoteRequest
from auto_insurance.pricing.service_rater import OnePlan
from auto_insurance.risk.service import RiskService
from tests.support.scoring import World, make_world

STAFF = Actor("00000000-0000-0000-0000-0000000000aa", "staff")
DRIVER = Actor("00000000-0000-0000-0000-0000000000bb", "driver")


@dataclass
class Recorder:
    """Remembers what was booked, and checks what the ledger checks: bookings add up to the segments."""

    bookings: list[Booking] = field(default_factory=list)
    totals: dict[tuple[str, int], Decimal] = field(default_factory=dict)

    async def book(self, uow: UnitOfWork, booking: Booking) -> None:
        """Keep a booking."""
        key = (booking.policy_id, booking.term)
        total = self.totals.get(key, Decimal(0)) + booking.written
        assert total == written(booking.segments, booking.period)
        self.totals[key] = total
        self.bookings.append(booking)


@dataclass
class PolicyWorld:
    """Services over real tables; each method is one transaction."""

    world: World
    service: PolicyService
    books: Recorder

    @property
    def db(self) -> Database:
        """The database."""
        return self.world.db

    async def quote(self, driver_id: str | None = "DRV001", **request: Any) -> Quote:
        """Make a quote, for a driver or for somebody unknown."""
        async with self.db.begin() as uow:
            return await self.world.pricing.quote(uow, QuoteRequest(**request), driver_id=driver_id)

    async def bound(self, driver_id: str = "DRV001", *, months: int = 12, **request: Any) -> Policy:
        """Quote and bind."""
        quote = await self.quote(driver_id, **request)
        async with self.db.begin() as uow:
            return await self.service.bind(uow, quote.quote_id, BindOrder(months=months), STAFF)

    async def endorse(
        self, policy_id: str, on: date, changes: Mapping[str, Any], *, by: Actor = STAFF, **more: Any
    ) -> Change:
        """Change a policy from a day on."""
        order = EndorseOrder(effective_on=on, changes=changes, reason="a test", revision=more.pop("revision", None),
                             newest_score=more.pop("newest_score", False))  # fmt: skip
        async with self.db.begin() as uow:
            return await self.service.endorse(uow, policy_id, order, by, **more)

    async def terms(self, policy_id: str) -> list[Snapshot]:
        """Return all terms."""
        async with self.db.begin() as uow:
            return await self.service.terms(uow, await self.service.get(uow, policy_id))

    async def running(self, policy_id: str) -> Snapshot:
        """Return the term that runs."""
        async with self.db.begin() as uow:
            return await self.service.snapshot(uow, await self.service.get(uow, policy_id))

    def client(self, *, driver_id: str | None = None, admin: bool = False) -> httpx.AsyncClient:
        """Return a client of the routes, signed in as a driver or as an admin."""
        role = Role.ADMIN if admin else Role.DRIVER
        person = Principal(user_id=ids.new_uuid(), username="somebody", roles=frozenset({role}), driver_id=driver_id)
        app = create_app(AppOptions(), [router])
        services: dict[type, object] = {
            PolicyService: self.service,
            Papers: Papers(self.service, self.world.risk),
            PricingService: self.world.pricing,
            RiskService: self.world.risk,
        }
        attach_state(app, AppState(database=self.db, services=services))
        app.dependency_overrides[current_user] = lambda: person
        app.dependency_overrides[optional_user] = lambda: person
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/api/v1")


def make_policy_world(
    db: Database, options: PolicyOptions | None = None, plan: RatingPlan | None = None
) -> PolicyWorld:
    """Compose the services as the application does, with a ledger that remembers."""
    world, books = make_world(db), Recorder()
    if plan is not None:
        world = replace(world, pricing=PricingService(world.drivers, world.risk, OnePlan(plan)))
    return PolicyWorld(world, PolicyService(world.pricing, world.drivers, books, options), books)
