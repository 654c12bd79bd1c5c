"""Reads for drivers that need several domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from auto_insurance.drivers.service import DriverService
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.portal import queries, views
from auto_insurance.portal.errors import BadPeriod, TripNotFound
from auto_insurance.portal.queries import TripFilter, TripKey
from auto_insurance.portal.schemas import (
    AlertItem,
    DriverSummary,
    PriceEffect,
    RiskFactors,
    TripDetail,
    TripItem,
    TripsSummary,
    TripStatistics,
)
from auto_insurance.portal.views import Period
from auto_insurance.pricing.schemas import PremiumKind
from auto_insurance.pricing.service import PricingService
from auto_insurance.risk.schemas import ContributionOut
from auto_insurance.risk.service import RiskService
from auto_insurance.telematics.schemas import Quality
from auto_insurance.telematics.service import TelematicsService
from auto_insurance.trips.service import TripService

EFFECT_NOTE = (
    "What the indicated premium would be with and without this trip, all else equal. The charged premium does not move "
    "with a trip."
)
RECENT_DAYS = 30


@dataclass(frozen=True, slots=True)
class Pages:
    """What a driver's first page asks for."""

    summary: DriverSummary
    statistics: TripStatistics
    trips_summary: TripsSummary


class PortalService:
    """Composes answers; writes nothing."""

    def __init__(
        self,
        trips: TripService,
        telematics: TelematicsService,
        drivers: DriverService,
        risk: RiskService,
        pricing: PricingService,
    ) -> None:
        self._trips = trips
        self._telematics = telematics
        self._drivers = drivers
        self._risk = risk
        self._pricing = pricing

    async def list_trips(
        self, uow: UnitOfWork, wanted: TripFilter, *, page: int, page_size: int, after: TripKey | None = None
    ) -> tuple[Sequence[TripItem], int]:
        """Return a page of trips, newest first, and how many there are in all. Raises ``BadPeriod``.

        ``after`` is the key of the trip before the page; it counts in place of ``page``.
        """
        if wanted.since is not None and wanted.until is not None and wanted.until <= wanted.since:
            raise BadPeriod("`to` must be later than `from`")
        rows, total = await queries.list_trips(uow, wanted, page=page, page_size=page_size, after=after)
        return [views.trip_item(row) for row in rows], total

    async def list_trips_many(
        self, uow: UnitOfWork, driver_ids: Sequence[str], *, page: int, page_size: int
    ) -> dict[str, tuple[Sequence[TripItem], int]]:
        """Return the same page of each driver's trips, newest first, and how many there are; one statement."""
        found = await queries.list_trips_many(uow, driver_ids, page=page, page_size=page_size)
        return {d: ([views.trip_item(row) for row in rows], total) for d, (rows, total) in found.items()}

    async def trip(self, uow: UnitOfWork, driver_id: str, trip_id: UUID, *, max_points: int) -> TripDetail:
        """Return one trip with path, events, score and its effect on the price. Raises ``TripNotFound``."""
        row = await queries.get_trip(uow, driver_id, trip_id)
        if row is None:
            raise TripNotFound("there is no such trip")
        end = row["end_time"] or clock.now()
        points = await self._telematics.path(uow, row["device_id"], row["start_time"], end, driver_id)
        events = await self._trips.events_of(uow, trip_id)
        score = await self._risk.trip_score(uow, trip_id)
        return TripDetail(
            **views.item_fields(row),
            moving_minutes=round(row["moving_s"] / 60, 2),
            idle_minutes=round(row["idle_s"] / 60, 2),
            gap_count=row["gap_count"],
            gap_miles=round(row["gap_miles"], 3),
            late_night_miles=round(row["late_night_miles"], 3),
            rush_hour_miles=round(row["rush_hour_miles"], 3),
            weekend_miles=round(row["weekend_miles"], 3),
            crash_reported=row["crash_reported"],
            end_reason=row["end_reason"],
            path=views.line_string(points, max_points),
            path_point_count=sum(point.quality == Quality.GOOD for point in points),
            events=[views.event_item(event) for event in events],
            score_breakdown=[
                ContributionOut.model_validate(reason, from_attributes=True)
                for reason in (score.contributions if score is not None else ())
            ],
            price_effect=await self._price_effect(uow, driver_id, trip_id),
        )

    async def trips_summary(self, uow: UnitOfWork, driver_id: str) -> TripsSummary:
        """Return totals over all trips. Raises what ``DriverService.facts`` raises."""
        await self._drivers.facts(uow, driver_id)
        row = await queries.trip_totals(uow, driver_id)
        return views.trips_summary(driver_id, row)

    async def statistics(self, uow: UnitOfWork, driver_id: str, period_days: int) -> TripStatistics:
        """Return the rates of the last ``period_days``. Raises what ``DriverService.facts`` raises."""
        await self._drivers.facts(uow, driver_id)
        until = clock.now()
        since = until - timedelta(days=period_days)
        row = await queries.trip_totals(uow, driver_id, since=since, until=until)
        return views.statistics(driver_id, Period(period_days, since, until), row)

    async def summary(self, uow: UnitOfWork, driver_id: str) -> DriverSummary:
        """Return the numbers of the first page. Raises what ``DriverService.facts`` raises."""
        facts = await self._drivers.facts(uow, driver_id)
        score = await self._risk.latest(uow, driver_id)
        charged = (await self._pricing.latest_many(uow, [driver_id])).get(driver_id)
        indicated = await self._pricing.indicated(uow, driver_id)
        ever = await queries.trip_totals(uow, driver_id)
        now = clock.now()
        recent = await queries.trip_totals(uow, driver_id, since=now - timedelta(days=RECENT_DAYS), until=now)
        return views.driver_summary(views.Glance(facts, score, charged, indicated, ever, recent))

    async def pages_of(self, uow: UnitOfWork, driver_ids: Sequence[str]) -> list[Pages]:
        """Return the first pages of those of the drivers who drove in the last month; one statement for each part."""
        now = clock.now()
        month = Period(RECENT_DAYS, now - timedelta(days=RECENT_DAYS), now)
        facts = await self._drivers.facts_many(uow, driver_ids)
        scores = await self._risk.latest_many(uow, driver_ids)
        charged = await self._pricing.latest_many(uow, driver_ids)
        indicated = await self._pricing.latest_many(uow, driver_ids, PremiumKind.INDICATED)
        ever = await queries.trip_totals_many(uow, driver_ids)
        recent = await queries.trip_totals_many(uow, driver_ids, since=month.since, until=month.until)
        return [
            Pages(
                summary=views.driver_summary(
                    views.Glance(facts[d], scores.get(d), charged.get(d), indicated.get(d), ever[d], recent[d])
                ),
                statistics=views.statistics(d, month, recent[d]),
                trips_summary=views.trips_summary(d, ever[d]),
            )
            for d in driver_ids
            if d in facts and d in ever and d in recent
        ]

    async def active_drivers(self, uow: UnitOfWork, limit: int) -> list[str]:
        """Return those who drove last, none who did not for a month."""
        since = clock.now() - timedelta(days=RECENT_DAYS)
        return await queries.active_drivers(uow, since=since, limit=limit)

    async def alerts(
        self, uow: UnitOfWork, driver_id: str, days: int, *, page: int, page_size: int
    ) -> tuple[Sequence[AlertItem], int]:
        """Return a page of the crashes and severe events of the last ``days``, newest first, and their number.

        Raises what ``DriverService.facts`` raises.
        """
        await self._drivers.facts(uow, driver_id)
        since = clock.now() - timedelta(days=days)
        rows, total = await queries.list_alerts(uow, driver_id, since=since, page=page, page_size=page_size)
        return [views.alert_item(row) for row in rows], total

    async def risk_factors(self, uow: UnitOfWork, driver_id: str) -> RiskFactors:
        """Return what moved the driver's newest score. Raises what ``DriverService.facts`` raises."""
        await self._drivers.facts(uow, driver_id)
        score = await self._risk.latest(uow, driver_id)
        return views.risk_factors(driver_id, None if score is None else await self._risk.advised(uow, score))

    async def _price_effect(self, uow: UnitOfWork, driver_id: str, trip_id: UUID) -> PriceEffect | None:
        """Compare the indicated premium with one without the trip; None while the trip does not count."""
        pair = await self._risk.with_and_without(uow, driver_id, trip_id)
        if pair is None:
            return None
        with_it, without = [
            await self._pricing.price_for_relativity(uow, driver_id, score.relativity, score.confidence)
            for score in pair
        ]
        return PriceEffect(
            monthly_premium_with=with_it.monthly_premium,
            monthly_premium_without=without.monthly_premium,
            monthly_difference=with_it.monthly_premium - without.monthly_premium,
            currency=with_it.currency,
            note=EFFECT_NOTE,
        )
