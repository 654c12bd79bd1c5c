"""Scores over time and from other sides. Pure: from scores to answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from math import exp

from auto_insurance.risk.explain import recommendations
from auto_insurance.risk.schemas import DayScore, Reason, RiskCategory, RiskScore, note_of
from auto_insurance.risk.schemas_reports import (
    BatchResult,
    FactorGroup,
    Recommendations,
    RiskFactorBreakdown,
    RiskHistoryItem,
    RiskProfileSummary,
    RiskTrend,
    TrendDirection,
    TrendInterval,
    TrendPeriod,
    TrendPoint,
)
from auto_insurance.risk.views import contribution_out, recommendation_out

STEADY_WITHIN = 2.0
"""Points of the score that say nothing."""
TOP = 3
GROUPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "braking": ("Braking", ("harsh_braking_per_100mi", "severe_braking_per_100mi")),
    "acceleration": ("Acceleration", ("rapid_accel_per_100mi", "severe_accel_per_100mi")),
    "cornering": ("Cornering", ("harsh_corner_per_100mi", "severe_corner_per_100mi")),
    "speeding": (
        "Speeding",
        ("speeding_s_per_100mi", "speeding_10_s_per_100mi", "speeding_20_s_per_100mi", "very_fast_s_per_hour"),
    ),
    "phone": ("Phone use", ("phone_s_per_hour", "phone_moving_s_per_hour", "phone_fast_s_per_hour")),
    "smoothness": ("Smoothness", ("jerky_s_per_hour",)),
    "fatigue": ("Fatigue", ("long_drive_share",)),
    "time_of_day": ("Time of day", ("night_share", "late_night_share", "rush_hour_share")),
}
OTHER = ("other", "Other")


def history_item(score: RiskScore) -> RiskHistoryItem:
    """Return a score as an item of the history."""
    return RiskHistoryItem.model_validate(score, from_attributes=True)


def batch_result(score: RiskScore) -> BatchResult:
    """Return a score as a result of a batch."""
    return BatchResult.model_validate(score, from_attributes=True)


def trend(
    driver_id: str,
    before: DayScore | None,
    days: Sequence[DayScore],
    *,
    period: TrendPeriod,
    interval: TrendInterval,
    time_zone: str,
    today: date,
) -> RiskTrend:
    """Return the score that held at the end of each interval.

    ``before`` is the last score before the first interval, ``days`` the last one of each later day that has one, oldest
    first; all days, ``today`` too, are the driver's local ones.
    """
    starts = interval_starts(today, period.days, interval)
    held, points = before, []
    for start, end in zip(starts, [*starts[1:], date.max], strict=True):
        inside = [day for day in days if start <= day.day < end]
        held = inside[-1] if inside else held
        points.append(
            TrendPoint(
                date=start,
                risk_score=held.risk_score if held else None,
                risk_category=RiskCategory(held.risk_category) if held else None,
                calculations=sum(day.calculations for day in inside),
            )
        )
    known = [point.risk_score for point in points if point.risk_score is not None]
    change = round(known[-1] - known[0], 2) if len(known) > 1 else None
    return RiskTrend(
        driver_id=driver_id, period=period, interval=interval, time_zone=time_zone, points=points, change=change,
        direction=direction(change), simulated=any(day.simulated for day in [*([before] if before else []), *days]),
    )  # fmt: skip


def interval_starts(today: date, days: int, interval: TrendInterval) -> list[date]:
    """Return the first days of the intervals that cover the last ``days``, the newest last: days, or ISO weeks."""
    first = today - timedelta(days=days - 1)
    if interval is TrendInterval.DAILY:
        return [first + timedelta(days=n) for n in range(days)]
    monday = first - timedelta(days=first.weekday())
    return [monday + timedelta(weeks=n) for n in range((today - monday).days // 7 + 1)]


def direction(change: float | None) -> TrendDirection:
    """Name a change of the risk score; a lower score is better."""
    if change is None:
        return TrendDirection.UNKNOWN
    if abs(change) <= STEADY_WITHIN:
        return TrendDirection.STEADY
    return TrendDirection.IMPROVING if change < 0 else TrendDirection.WORSENING


def recommendations_out(score: RiskScore) -> Recommendations:
    """Return what the driver could change."""
    chosen = recommendations(score.contributions, at_most=len(score.contributions))
    effect = exp(-sum(reason.log_effect for reason in chosen)) - 1.0
    return Recommendations(
        driver_id=score.driver_id,
        calculated_at=score.calculated_at,
        recommendations=[recommendation_out(reason) for reason in chosen],
        effect_of_all_pct=round(100.0 * effect, 2),
        simulated=score.simulated,
        note=note_of(score),
    )


def factor_breakdown(score: RiskScore) -> RiskFactorBreakdown:
    """Return a score's contributions by groups of behaviour, the strongest group first."""
    group_of = {feature: group for group, (_, features) in GROUPS.items() for feature in features}
    members: dict[str, list[Reason]] = {}
    for reason in score.contributions:
        members.setdefault(group_of.get(reason.feature, OTHER[0]), []).append(reason)
    groups = [_group(name, reasons) for name, reasons in members.items()]
    groups.sort(key=lambda group: -abs(group.log_effect))
    return RiskFactorBreakdown(
        driver_id=score.driver_id,
        risk_score=score.risk_score,
        calculated_at=score.calculated_at,
        model_version=score.model_version,
        simulated=score.simulated,
        effect_pct=_pct(sum(group.log_effect for group in groups)),
        groups=groups,
    )


def profile_summary(score: RiskScore, month_ago: RiskScore | None) -> RiskProfileSummary:
    """Return a score at a glance; ``month_ago`` is the one that held 30 days ago."""
    change = round(score.risk_score - month_ago.risk_score, 2) if month_ago is not None else None
    known = [reason for reason in score.contributions if reason.value is not None]
    return RiskProfileSummary(
        driver_id=score.driver_id,
        risk_score=score.risk_score,
        safety_score=round(100.0 - score.risk_score, 2),
        risk_category=RiskCategory(score.risk_category),
        better_than_pct=round(100.0 - score.risk_score, 2),
        confidence=score.confidence,
        exposure_miles=score.exposure_miles,
        trip_count=score.trip_count,
        calculated_at=score.calculated_at,
        change_30d=change,
        direction=direction(change),
        raising=[contribution_out(r) for r in known if r.direction == "raises"][:TOP],
        lowering=[contribution_out(r) for r in known if r.direction == "lowers"][:TOP],
        simulated=score.simulated,
        note=note_of(score),
    )


def _group(name: str, reasons: Sequence[Reason]) -> FactorGroup:
    total = sum(reason.log_effect for reason in reasons)
    title = GROUPS[name][0] if name in GROUPS else OTHER[1]
    return FactorGroup(
        group=name,
        title=title,
        effect_pct=_pct(total),
        log_effect=total,
        factors=[contribution_out(reason) for reason in reasons],
    )


def _pct(log_effect: float) -> float:
    return round(100.0 * (exp(log_effect) - 1.0), 2)
