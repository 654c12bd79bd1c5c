"""Figures of the dashboard and of analytics, from rows as they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from auto_insurance.admin import queries_analytics as analytics
from auto_insurance.admin import queries_dashboard as queries
from auto_insurance.admin.errors import BadWindow
from auto_insurance.admin.figures import days_up_to, percentages, start_of
from auto_insurance.admin.schemas_figures import (
    DashboardBook,
    DashboardStats,
    DashboardTotals,
    DayActivity,
    Exactness,
    FleetSummary,
    LossRatio,
    LossRatioLine,
    PolicyType,
    PolicyTypes,
    RiskDistribution,
    SafetyEvents,
    Savings,
    ScoreBand,
    ScoreBands,
    TripActivity,
)
from auto_insurance.claims.schemas import Incurred
from auto_insurance.claims.service import ClaimService
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.money import to_cents
from auto_insurance.policies.schemas import PolicySummary
from auto_insurance.policies.service import PolicyService

COUNTED_TRIPS = 2_000_000
"""Up to so many trips by PostgreSQL's statistics they are counted, from an index: some 50 ns each."""
MONTH, WEEK, DAY = timedelta(days=30), timedelta(days=7), timedelta(days=1)
BANDS = (40.0, 70.0)
TENTHS = tuple(range(0, 101, 10))
YEAR_DAYS = 365.25
LONGEST_DAYS = 3660


class Dashboard:
    """Answers what staff see first."""

    def __init__(self, policies: PolicyService, claims: ClaimService) -> None:
        self._policies = policies
        self._claims = claims

    async def stats(self, uow: UnitOfWork) -> DashboardStats:
        """Return totals and what came lately."""
        now = clock.now()
        totals = await queries.totals(uow)
        trips, events = await queries.estimates(uow)
        counted = trips <= COUNTED_TRIPS
        if counted:
            trips = await queries.count_trips(uow)
        recent = await queries.recent(uow, month=now - MONTH, week=now - WEEK, day=now - DAY)
        return DashboardStats(
            totals=DashboardTotals(**totals._asdict(), trips=trips, events=events),
            exact=Exactness(trips=counted, events=False),
            recent_drivers=recent.drivers,
            recent_trips=recent.trips,
            recent_events=recent.events,
            recent_claims=recent.claims,
            as_of=now,
        )

    async def summary(self, uow: UnitOfWork) -> DashboardBook:
        """Return the book at a glance."""
        now = clock.now()
        totals = await queries.totals(uow)
        active, open_claims = await queries.in_service(uow)
        bands = await queries.score_bands(uow, BANDS)
        week = await queries.safety_events(uow, start=now - WEEK, end=now)
        book = PolicySummary.of(await self._policies.figures(uow))
        return DashboardBook(
            total_drivers=totals.drivers,
            active_drivers=active,
            total_vehicles=totals.vehicles,
            total_policies=book.total_policies,
            active_policies=book.active_policies,
            monthly_revenue=book.monthly_revenue,
            annual_premium=book.annual_premium,
            total_savings=book.total_savings,
            avg_risk_score=_rounded(bands.average),
            scored_drivers=bands.scored,
            open_claims=open_claims,
            trips_last_7_days=week.trip_count,
            miles_last_7_days=round(week.distance_miles, 3),
            as_of=now,
        )

    async def trip_activity(self, uow: UnitOfWork, days: int, time_zone: str) -> TripActivity:
        """Return one item per day up to today in a time zone (IANA), zeros included."""
        today = clock.local_date(clock.now(), time_zone)
        wanted = days_up_to(today, days)
        start, end = start_of(wanted[0], time_zone), start_of(today + DAY, time_zone)
        rows = await queries.trips_by_day(uow, start=start, end=end, time_zone=time_zone)
        found = {row.day: row for row in rows}
        items = []
        for day in wanted:
            row = found.get(day)
            items.append(
                DayActivity(
                    date=day,
                    trip_count=row.trip_count if row else 0,
                    distance_miles=round(row.miles, 3) if row else 0.0,
                    driving_hours=round(row.hours, 3) if row else 0.0,
                    active_drivers=row.drivers if row else 0,
                    harsh_events=row.harsh if row else 0,
                )
            )
        return TripActivity(days=days, time_zone=time_zone, items=items)

    async def risk_distribution(self, uow: UnitOfWork) -> RiskDistribution:
        """Return how many drivers lie in each band of the score."""
        bands = await queries.score_bands(uow, BANDS)
        low, medium, high = bands.counts
        low_share, medium_share, high_share = percentages(bands.counts)
        return RiskDistribution(
            total_drivers=bands.drivers,
            scored_drivers=bands.scored,
            low_risk_count=low,
            medium_risk_count=medium,
            high_risk_count=high,
            low_risk_percentage=low_share,
            medium_risk_percentage=medium_share,
            high_risk_percentage=high_share,
            avg_risk_score=_rounded(bands.average),
        )

    async def safety_events(self, uow: UnitOfWork, days: int) -> SafetyEvents:
        """Return what happened on the completed trips of the last days."""
        now = clock.now()
        row = await queries.safety_events(uow, start=now - timedelta(days=days), end=now)
        total = row.harsh_braking_count + row.rapid_accel_count + row.harsh_corner_count + row.speeding_count
        return SafetyEvents(
            days=days,
            trip_count=row.trip_count,
            distance_miles=round(row.distance_miles, 3),
            harsh_braking=row.harsh_braking_count,
            rapid_acceleration=row.rapid_accel_count,
            harsh_cornering=row.harsh_corner_count,
            speeding=row.speeding_count,
            speeding_seconds=round(row.speeding_s, 1),
            phone_use_trips=row.phone_trips,
            phone_use_seconds=round(row.phone_usage_s, 1),
            crashes_reported=row.crashes,
            total_events=total,
            events_per_100_miles=_per(total, row.distance_miles, 100),
        )

    async def policy_types(self, uow: UnitOfWork) -> PolicyTypes:
        """Return the policies that run now by product and coverage."""
        rows = await queries.policy_types(uow, clock.now())
        shares = percentages([row.count for row in rows])
        items = [
            PolicyType(
                policy_type=row.product,
                coverage=row.coverage,
                count=row.count,
                percentage=share,
                annual_premium=row.annual,
            )
            for row, share in zip(rows, shares, strict=True)
        ]
        return PolicyTypes(total=sum(item.count for item in items), items=items)

    # --- analytics ---

    async def fleet(self, uow: UnitOfWork, days: int) -> FleetSummary:
        """Return the fleet's driving of the last days."""
        until = clock.now()
        since = until - timedelta(days=days)
        row = await analytics.fleet(uow, since, until)
        return FleetSummary(
            days=days,
            since=since,
            until=until,
            active_drivers=row.drivers,
            active_devices=row.devices,
            trip_count=row.trips,
            distance_miles=round(row.miles, 3),
            driving_hours=round(row.hours, 3),
            harsh_braking_per_100_miles=_per(row.harsh_braking, row.miles, 100),
            rapid_accel_per_100_miles=_per(row.rapid_accel, row.miles, 100),
            harsh_corner_per_100_miles=_per(row.harsh_corner, row.miles, 100),
            speeding_seconds_per_100_miles=_per(row.speeding_s, row.limit_miles, 100),
            phone_usage_seconds_per_100_miles=_per(row.phone_s, row.phone_miles, 100),
            night_share=_per(row.night_miles, row.miles, 1),
        )

    async def score_bands(self, uow: UnitOfWork) -> ScoreBands:
        """Return drivers by tenths of the score's scale."""
        found = await queries.score_bands(uow, TENTHS[1:-1])
        return ScoreBands(
            total_drivers=found.drivers,
            scored_drivers=found.scored,
            avg_risk_score=_rounded(found.average),
            bands=[
                ScoreBand(above=low, up_to=high, count=count, percentage=share)
                for (low, high), count, share in zip(
                    pairwise(TENTHS), found.counts, percentages(found.counts), strict=True
                )
            ],
        )

    async def savings(self, uow: UnitOfWork) -> Savings:
        """Return what telematics does to a year's premium of the policies that run."""
        row = await analytics.savings(uow, clock.now())
        total = row.plain - row.charged
        return Savings(
            policies=row.policies,
            cheaper=row.cheaper,
            dearer=row.dearer,
            annual_premium=row.charged,
            annual_premium_without_telematics=row.plain,
            total_savings=total,
            average_savings=to_cents(Decimal(total) / row.policies) if row.policies else None,
        )

    async def loss_ratio(self, uow: UnitOfWork, since: date | None, until: date | None) -> LossRatio:
        """Return incurred claims over earned premium of days in [since, until), by default of the last 365.

        Raises ``BadWindow``.
        """
        end = until or clock.now().date()
        start = since or end - timedelta(days=365)
        if not 0 < (end - start).days <= LONGEST_DAYS:
            raise BadWindow(f"`to` must be later than `from`, by at most {LONGEST_DAYS} days")
        earned = await queries.earned_premium(uow, start, end)
        incurred = await self._claims.incurred(uow, start_of(start, "UTC"), start_of(end, "UTC"))
        policies, days = await analytics.exposure(uow, start, end)
        premium = {row.currency: Decimal(row.earned) for row in earned}
        return LossRatio(
            since=start,
            until=end,
            exposure_years=round(days / YEAR_DAYS, 3),
            policies=policies,
            lines=_ratios(premium, incurred),
        )


def _ratios(premium: dict[str, Decimal], incurred: Sequence[Incurred]) -> list[LossRatioLine]:
    losses = {one.currency: one for one in incurred}
    lines = []
    for currency in sorted(premium.keys() | losses.keys()):
        earned, loss = premium.get(currency, Decimal(0)), losses.get(currency)
        amount = Decimal(0) if loss is None else loss.incurred
        lines.append(
            LossRatioLine(
                currency=currency,
                earned_premium=earned,
                incurred=amount,
                claims=0 if loss is None else loss.claims,
                loss_ratio=round(float(amount / earned), 4) if earned > 0 else None,
            )
        )
    return lines


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 2)


def _per(amount: float, over: float, per: float) -> float | None:
    return round(amount / over * per, 4) if over > 0 else None
