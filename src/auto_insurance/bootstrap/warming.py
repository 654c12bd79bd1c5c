"""What a starting API makes ahead: the first pages, scores and prices of those who drove last."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from pydantic import BaseModel

from auto_insurance.bootstrap.container import Container
from auto_insurance.bootstrap.figures import count_ahead
from auto_insurance.bootstrap.keys import keys
from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.cache.keys import Place
from auto_insurance.infra.cache.warming import Bodies, Warmth, warm
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.infra.http.pagination import PageRequest
from auto_insurance.portal.service import RECENT_DAYS, PortalService
from auto_insurance.portal.views import trip_feed
from auto_insurance.pricing.schemas import PremiumKind, Premiums
from auto_insurance.pricing.service import PricingService
from auto_insurance.pricing.views import current_out
from auto_insurance.risk.schemas import RiskScoreOut
from auto_insurance.risk.service import RiskService
from auto_insurance.risk.vectors import Vectors
from auto_insurance.risk.views import model_out

FIRST_PAGE = PageRequest()
log = structlog.get_logger(__name__)


def warmth(container: Container) -> Warmth:
    """Return what to make ahead, for a composed container."""
    settings, known = container.settings.read_cache, keys(container.settings)
    drivers, portal = container.get(DriverService), container.get(PortalService)
    risk, pricing, vectors = container.get(RiskService), container.get(PricingService), container.get(Vectors)

    def at(name: str, driver_id: str) -> Place:
        facet = f"@{risk.model.version}" if name == "score" else ""
        variant = {"statistics": f"{RECENT_DAYS}", "trips": f"{FIRST_PAGE.page}-{FIRST_PAGE.page_size}"}
        return known[name].place(driver_id, variant.get(name, facet))

    async def active(limit: int) -> Sequence[str]:
        async with container.database.read() as uow:
            return await portal.active_drivers(uow, limit)

    async def prices(uow: UnitOfWork, driver_ids: Sequence[str]) -> dict[Place, BaseModel]:
        charged = await pricing.latest_many(uow, driver_ids)
        indicated = await pricing.latest_many(uow, driver_ids, PremiumKind.INDICATED)
        bases = {one.plan_version: one for one in charged.values()}
        basis = {version: await pricing.basis_of(uow, one) for version, one in bases.items()}
        return {
            at("price", d): current_out(Premiums(charged=one, indicated=indicated.get(d)), basis[one.plan_version])
            for d, one in charged.items()
        }

    async def make(driver_ids: Sequence[str]) -> Bodies:
        async with container.database.read() as uow:
            await risk.models.refresh(uow)
            made: dict[Place, BaseModel] = await prices(uow, driver_ids)
            for driver_id, view in (await drivers.get_many(uow, driver_ids)).items():
                made[at("driver", driver_id)] = view
            for driver_id, score in (await risk.latest_many(uow, driver_ids)).items():
                made[at("score", driver_id)] = RiskScoreOut.of(score, model_out(risk.model, score))
            for pages in await portal.pages_of(uow, driver_ids):
                driver_id = pages.summary.driver_id
                made[at("summary", driver_id)] = pages.summary
                made[at("statistics", driver_id)] = pages.statistics
                made[at("trips_summary", driver_id)] = pages.trips_summary
            kept = {vectors.place(d): body for d, body in (await risk.vectors(uow, driver_ids)).items()}
            for driver_id, (items, total) in (
                await portal.list_trips_many(uow, driver_ids, page=FIRST_PAGE.page, page_size=FIRST_PAGE.page_size)
            ).items():
                made[at("trips", driver_id)] = trip_feed(items, total, FIRST_PAGE)
        return kept | {place: answer.model_dump_json(by_alias=True).encode() for place, answer in made.items()}

    def places(driver_id: str) -> Sequence[Place]:
        names = ("driver", "summary", "statistics", "trips", "trips_summary", "score", "price")
        return [vectors.place(driver_id), *(at(name, driver_id) for name in names)]

    return Warmth(active, make, places, settings.warm_drivers, settings.warm_s)


async def warm_up(container: Container, stop: asyncio.Event) -> None:
    """Make answers ahead; a failure is logged, since everything works without."""
    try:
        if container.settings.read_cache.warm_drivers:
            await count_ahead(container)
        await warm(container.cache, warmth(container), stop)
    except Exception as error:
        log.warning("cache_warming_failed", error=type(error).__name__)
    finally:
        container.warmed.set()


async def wait_for_warmth(container: Container) -> None:
    """Wait until answers are made ahead, at most the time that readiness may wait for it."""
    settings = container.settings.read_cache
    if container.redis is None or settings.warm_drivers == 0:
        return
    try:
        async with asyncio.timeout(settings.warm_ready_s):
            await container.warmed.wait()
    except TimeoutError:
        log.info("ready_before_warm")
