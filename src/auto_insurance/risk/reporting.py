"""Use cases that look at scores: over time, from other sides, for many drivers at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from auto_insurance.drivers.schemas import DriverFacts
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.risk import reports, repository
from auto_insurance.risk.schemas import DayScore, RiskScore
from auto_insurance.risk.schemas_reports import (
    BatchAnswer,
    BatchRequest,
    Recommendations,
    RiskFactorBreakdown,
    RiskHistoryItem,
    RiskProfileSummary,
    RiskTrend,
    TrendInterval,
    TrendPeriod,
)
from auto_insurance.risk.service import RiskService

MONTH = timedelta(days=30)


class Drivers(Protocol):
    """What is needed of the drivers service. ``facts`` raises an error of kind not_found."""

    async def facts(self, uow: UnitOfWork, driver_id: str) -> DriverFacts: ...

    async def existing(self, uow: UnitOfWork, driver_ids: Collection[str]) -> frozenset[str]: ...


class RiskReports:
    """Answers about scores. Writes only by way of :class:`RiskService`."""

    def __init__(self, risk: RiskService, drivers: Drivers) -> None:
        self._risk = risk
        self._drivers = drivers

    async def history(
        self, uow: UnitOfWork, driver_id: str, days: int, *, offset: int, limit: int
    ) -> tuple[Sequence[RiskHistoryItem], int]:
        """Return a page of the scores of the last ``days``, the newest first, and how many there are."""
        await self._drivers.facts(uow, driver_id)
        since = clock.now() - timedelta(days=days)
        scores, total = await repository.history_page(uow, driver_id, since, offset=offset, limit=limit)
        return [reports.history_item(score) for score in scores], total

    async def trend(self, uow: UnitOfWork, driver_id: str, period: TrendPeriod, interval: TrendInterval) -> RiskTrend:
        """Return the score at the end of each day or week of the driver's local time."""
        time_zone = (await self._drivers.facts(uow, driver_id)).time_zone
        zone = ZoneInfo(time_zone)
        today = clock.now().astimezone(zone).date()
        first = reports.interval_starts(today, period.days, interval)[0]
        since = datetime.combine(first, time(), zone)
        before = await repository.score_before(uow, driver_id, since)
        return reports.trend(
            driver_id,
            DayScore(first, before.risk_score, before.risk_category, 0, before.simulated) if before else None,
            await repository.days_since(uow, driver_id, since, time_zone),
            period=period,
            interval=interval,
            time_zone=time_zone,
            today=today,
        )

    async def recommendations(self, uow: UnitOfWork, driver_id: str) -> Recommendations:
        """Return what the driver could change; nothing where the driver does not want to be told."""
        score = await self._risk.latest_or_first(uow, driver_id)
        return reports.recommendations_out(await self._risk.advised(uow, score))

    async def factor_breakdown(self, uow: UnitOfWork, driver_id: str) -> RiskFactorBreakdown:
        """Return the newest score by groups of behaviour."""
        score = await self._risk.latest_or_first(uow, driver_id)
        return reports.factor_breakdown(await self._risk.advised(uow, score))

    async def profile_summary(self, uow: UnitOfWork, driver_id: str) -> RiskProfileSummary:
        """Return a driver's risk at a glance."""
        score = await self._risk.advised(uow, await self._risk.latest_or_first(uow, driver_id))
        return reports.profile_summary(score, await repository.score_before(uow, driver_id, clock.now() - MONTH))

    async def batch(self, uow: UnitOfWork, request: BatchRequest) -> BatchAnswer:
        """Score the drivers named; over the usual window the scores are kept and told of."""
        wanted = list(dict.fromkeys(request.driver_ids))
        known = await self._drivers.existing(uow, wanted)
        found = [driver_id for driver_id in wanted if driver_id in known]
        usual = self._risk.window_days
        days = usual if request.period_days is None else request.period_days
        if days == usual:
            scores = await self._risk.score_drivers(uow, found, "batch")
        else:
            scores = await self._risk.preview(uow, found, "batch", days)
        return BatchAnswer(
            total=len(wanted),
            calculated=len(scores),
            not_found=[driver_id for driver_id in wanted if driver_id not in known],
            average_risk_score=_mean(scores),
            period_days=days,
            stored=days == usual,
            model_version=self._risk.model.version,
            simulated=self._risk.model.assumption_based,
            results={score.driver_id: reports.batch_result(score) for score in scores},
        )


def _mean(scores: Sequence[RiskScore]) -> float | None:
    return round(sum(score.risk_score for score in scores) / len(scores), 2) if scores else None
