"""The reads whose answers are kept: each with its key, life, what drops it, and how it is made. This is all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from auto_insurance.bootstrap.container import Container
from auto_insurance.bootstrap.figures import figures
from auto_insurance.bootstrap.keys import keys
from auto_insurance.drivers.service import DriverService
from auto_insurance.identity.deps import rule_about_driver, rule_of_staff
from auto_insurance.identity.service import AuthService
from auto_insurance.infra.cache.keys import CacheKey
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.infra.http.app import API_PREFIX
from auto_insurance.infra.http.pagination import Page, PageRequest
from auto_insurance.infra.http.reads_table import Bounds, Numbers, Read, ReadTable
from auto_insurance.kernel import clock
from auto_insurance.portal.queries import TripFilter
from auto_insurance.portal.schemas import AlertItem
from auto_insurance.portal.service import PortalService
from auto_insurance.portal.views import trip_feed
from auto_insurance.pricing import views as pricing_views
from auto_insurance.pricing.schemas import PremiumOut
from auto_insurance.pricing.service import PricingService
from auto_insurance.risk import views as risk_views
from auto_insurance.risk.reporting import RiskReports
from auto_insurance.risk.schemas import RiskScoreOut
from auto_insurance.risk.service import RiskService

R = TypeVar("R")
PAGES = {"page": Bounds(1, 1, 20), "page_size": Bounds(20, 1, 100)}
"""Further pages take the route: they are asked for seldom, and there is no end of them."""
MONTH_DAYS = 31


def reads(container: Container) -> list[Read]:
    """Return the reads on a composed container."""
    known = keys(container.settings)
    return [*_of_driving(container, known), *_of_risk(container, known), *_of_prices(container, known)]


def table(container: Container, app: FastAPI) -> ReadTable:
    """Return the short ways of all reads, each with the rule of its route in ``app``. Raises ``LookupError``."""
    routes = {
        context.path_format: context.dependant
        for context in iter_route_contexts(app.routes)
        if "GET" in (context.methods or ()) and getattr(context, "dependant", None) is not None
    }
    return ReadTable(
        container.cache,
        container.database,
        container.get(AuthService).authenticate,
        [(read, _rule(routes, read.path, rule_about_driver)) for read in reads(container)],
        prefix=API_PREFIX,
        figures=[(read, _rule(routes, read.path, rule_of_staff)) for read in figures(container)],
    )


def _rule(routes: Mapping[str | None, Dependant], path: str, rule_in: Callable[[Dependant], R | None]) -> R:
    dependant = routes.get(f"{API_PREFIX}{path}")
    rule = None if dependant is None else rule_in(dependant)
    if rule is None:
        raise LookupError(f"no route with such a rule is at {path}")
    return rule


def _of_driving(container: Container, known: dict[str, CacheKey]) -> list[Read]:
    drivers, portal = container.get(DriverService), container.get(PortalService)

    async def trips(uow: UnitOfWork, driver_id: str, asked: Numbers) -> BaseModel:
        page = PageRequest(asked["page"], asked["page_size"])
        items, total = await portal.list_trips(uow, TripFilter(driver_id), page=page.page, page_size=page.page_size)
        return trip_feed(items, total, page)

    async def trips_of_many(uow: UnitOfWork, driver_ids: Sequence[str], asked: Numbers) -> Mapping[str, BaseModel]:
        page = PageRequest(asked["page"], asked["page_size"])
        found = await portal.list_trips_many(uow, driver_ids, page=page.page, page_size=page.page_size)
        return {d: trip_feed(items, total, page) for d, (items, total) in found.items()}

    async def alerts(uow: UnitOfWork, driver_id: str, asked: Numbers) -> BaseModel:
        page = PageRequest(asked["page"], asked["page_size"])
        items, total = await portal.alerts(uow, driver_id, asked["days"], page=page.page, page_size=page.page_size)
        return Page[AlertItem].of(items, total, page)

    period = {"period_days": Bounds(30, 1, 366)}
    statistics = lambda uow, driver_id, asked: portal.statistics(uow, driver_id, asked["period_days"])  # noqa: E731
    return [
        Read(
            "/drivers/{driver_id}",
            known["driver"],
            lambda uow, driver_id, _: drivers.get(uow, driver_id),
            many=lambda uow, driver_ids, _: drivers.get_many(uow, driver_ids),
        ),
        Read(
            "/drivers/{driver_id}/summary", known["summary"], lambda uow, driver_id, _: portal.summary(uow, driver_id)
        ),
        Read("/drivers/{driver_id}/statistics", known["statistics"], statistics, period),
        Read("/drivers/{driver_id}/trips/statistics", known["statistics"], statistics, period),
        Read("/drivers/{driver_id}/trips", known["trips"], trips, PAGES, own_only=True, many=trips_of_many),
        Read(
            "/drivers/{driver_id}/trips/summary",
            known["trips_summary"],
            lambda uow, driver_id, _: portal.trips_summary(uow, driver_id),
        ),
        Read(
            "/drivers/{driver_id}/alerts", known["alerts"], alerts, {**PAGES, "days": Bounds(30, 1, 366)}, own_only=True
        ),
        Read(
            "/drivers/{driver_id}/risk-factors",
            known["risk_factors"],
            lambda uow, driver_id, _: portal.risk_factors(uow, driver_id),
        ),
    ]


def _of_risk(container: Container, known: dict[str, CacheKey]) -> list[Read]:
    risk, reports = container.get(RiskService), container.get(RiskReports)

    async def score(uow: UnitOfWork, driver_id: str, _: Numbers) -> BaseModel:
        await risk.models.refresh(uow)
        found = await risk.latest_or_first(uow, driver_id)
        return RiskScoreOut.of(found, risk_views.model_out(risk.model, found))

    async def scores(uow: UnitOfWork, driver_ids: Sequence[str], _: Numbers) -> Mapping[str, BaseModel]:
        await risk.models.refresh(uow)
        found = await risk.latest_many(uow, driver_ids)
        return {d: RiskScoreOut.of(one, risk_views.model_out(risk.model, one)) for d, one in found.items()}

    async def breakdown(uow: UnitOfWork, driver_id: str, _: Numbers) -> BaseModel:
        await risk.models.refresh(uow)
        return risk_views.breakdown_out(risk, await risk.latest_or_first(uow, driver_id))

    async def history(uow: UnitOfWork, driver_id: str, asked: Numbers) -> BaseModel:
        page = PageRequest(asked["page"], asked["page_size"])
        items, total = await reports.history(uow, driver_id, asked["days"], offset=page.offset, limit=page.limit)
        return Page.of(items, total, page)

    def model() -> str:
        return f"@{risk.model.version}"

    days = {**PAGES, "days": Bounds(90, 1, 366)}
    return [
        Read("/risk/{driver_id}/score", known["score"], score, writes=True, facet=model, many=scores),
        Read("/risk/{driver_id}/breakdown", known["breakdown"], breakdown, writes=True, facet=model),
        Read("/risk/{driver_id}/history", known["risk_history"], history, days),
    ]


def _of_prices(container: Container, known: dict[str, CacheKey]) -> list[Read]:
    pricing = container.get(PricingService)

    async def current(uow: UnitOfWork, driver_id: str, _: Numbers) -> BaseModel:
        premiums = await pricing.current(uow, driver_id)
        return pricing_views.current_out(premiums, await pricing.basis_of(uow, premiums.charged))

    async def current_of_many(uow: UnitOfWork, driver_ids: Sequence[str], _: Numbers) -> Mapping[str, BaseModel]:
        found = await pricing.current_many(uow, driver_ids)
        versions = {one.charged.plan_version: one.charged for one in found.values()}
        basis = {version: await pricing.basis_of(uow, one) for version, one in versions.items()}
        return {d: pricing_views.current_out(one, basis[one.charged.plan_version]) for d, one in found.items()}

    async def breakdown(uow: UnitOfWork, driver_id: str, _: Numbers) -> BaseModel:
        premiums = await pricing.current(uow, driver_id)
        return pricing_views.breakdown_out(premiums, await pricing.basis_of(uow, premiums.charged))

    async def history(uow: UnitOfWork, driver_id: str, asked: Numbers) -> BaseModel:
        page = PageRequest(asked["page"], asked["page_size"])
        since = clock.now() - timedelta(days=MONTH_DAYS * asked["months"])
        found, total = await pricing.history(uow, driver_id, since, limit=page.limit, offset=page.offset)
        return Page.of([PremiumOut.of(premium) for premium in found], total, page)

    months = {**PAGES, "months": Bounds(12, 1, 36)}
    return [
        Read("/pricing/{driver_id}/current", known["price"], current, writes=True, many=current_of_many),
        Read("/pricing/{driver_id}/breakdown", known["worksheet"], breakdown, writes=True),
        Read("/pricing/{driver_id}/history", known["price_history"], history, months),
    ]
