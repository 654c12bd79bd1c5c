"""Builds the answers of the routes from points and rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from auto_insurance.rewards.repository import RedemptionRow
from auto_insurance.rewards.rules import MILLI, GoalRule, Kind, Rules, StreakRule, Totals
from auto_insurance.rewards.schemas import (
    GoalOut,
    RedemptionOut,
    RewardSummary,
    RulesOut,
    StreakOut,
    TipOut,
)
from auto_insurance.risk.schemas import Reason, RiskScore

MAX_TIPS = 3
LEAST_EFFECT_PCT = 0.5
"""Smaller effects on the claim frequency are no tip."""


def summary_out(
    driver_id: str,
    held: Rules,
    *,
    balance: int,
    sums: Mapping[str, int],
    totals: Totals,
    streaks: Sequence[StreakOut],
    next_milestone: GoalOut | None,
    tips: Sequence[TipOut],
) -> RewardSummary:
    """Return a driver's rewards at a glance."""
    redeemable = redeemable_points(held, balance)
    return RewardSummary(
        driver_id=driver_id,
        rules_version=held.version,
        balance=balance,
        redeemable_points=redeemable,
        redeemable_amount=held.redemption.worth(redeemable),
        currency=held.redemption.currency,
        earned_points=sum(points for kind, points in sums.items() if kind != Kind.REDEMPTION),
        redeemed_points=-sums.get(Kind.REDEMPTION.value, 0),
        points_by_kind={Kind(kind): points for kind, points in sums.items()},
        trips_counted=totals.trips,
        miles_counted=totals.milli_miles / MILLI,
        streaks=list(streaks),
        next_milestone=next_milestone,
        tips=list(tips),
    )


def redeemable_points(held: Rules, balance: int) -> int:
    """Return how many points can be redeemed at once, 0 below the minimum."""
    rule = held.redemption
    most = min(balance, rule.maximum_points) // rule.points_per_unit * rule.points_per_unit
    return most if most >= rule.minimum_points else 0


def streak_out(rule: StreakRule, running: int) -> StreakOut:
    """Return a streak with its running length."""
    return StreakOut(**msgspec.structs.asdict(rule), running=running)


def goal_out(goal: GoalRule, totals: Totals, reached_at: datetime | None) -> GoalOut:
    """Return a milestone or achievement with the way to it."""
    value = totals.measure(goal.measure) / MILLI
    return GoalOut(
        **msgspec.structs.asdict(goal),
        value=value,
        progress_pct=round(min(100.0, 100.0 * value / goal.threshold), 1),
        reached=reached_at is not None,
        reached_at=reached_at,
    )


def tips_out(score: RiskScore | None) -> list[TipOut]:
    """Return what raises a driver's expected claims most and can be changed, one per advice."""
    if score is None:
        return []
    found: dict[str, Reason] = {}
    for reason in sorted(score.contributions, key=lambda reason: -reason.effect_pct):
        if reason.recommendation and reason.value is not None and reason.effect_pct >= LEAST_EFFECT_PCT:
            found.setdefault(reason.recommendation, reason)
    return [
        TipOut(
            code=reason.code,
            title=reason.title,
            text=text,
            value=reason.value if reason.value is not None else reason.typical,
            typical=reason.typical,
            unit=reason.unit,
            effect_pct=reason.effect_pct,
        )
        for text, reason in list(found.items())[:MAX_TIPS]
    ]


def redemption_out(row: RedemptionRow, balance: int) -> RedemptionOut:
    """Return a redemption with what is left."""
    stored = msgspec.structs.asdict(row)
    del stored["redeemed_by"]
    return RedemptionOut(**stored, balance=balance)


def rules_out(held: Rules) -> RulesOut:
    """Return the rules for people and programs."""
    as_built = msgspec.to_builtins(held, builtin_types=(type(held.redemption.unit),))
    return RulesOut.model_validate({**as_built, **as_built["redemption"], **as_built["trips"]})
