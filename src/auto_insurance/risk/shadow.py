"""A challenger in the shadow: it scores whom the champion scores, and the two are compared."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import msgspec
import numpy as np

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.risk import repository_models
from auto_insurance.risk.artefacts import ScoringModel
from auto_insurance.risk.repository_drift import LatestDriving
from auto_insurance.risk.repository_models import ShadowRow
from auto_insurance.risk.scale import CATEGORIES, category
from auto_insurance.risk.schemas import RiskScore

STEPS = (1.0, 5.0, 10.0, 20.0)
SMALL_SHARE = 1e-4
"""Keeps an empty band from making the stability index infinite."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Champion against challenger over the same drivers."""

    champion_version: str
    challenger_version: str
    drivers: int
    champion_mean_score: float | None
    challenger_mean_score: float | None
    mean_frequency_ratio: float | None
    """Challenger's mean frequency over the champion's."""
    rank_correlation: float | None
    """Spearman's, of the frequencies."""
    stability_index: float | None
    """PSI of the categories: below 0.1 alike, above 0.25 another population."""
    moved_more_than: dict[str, float]
    """Share of drivers whose score differs by more than so many points."""
    categories: dict[str, dict[str, int]]
    """Drivers by the champion's category, then the challenger's."""


async def shadow(uow: UnitOfWork, champion: Sequence[RiskScore], challenger: Sequence[RiskScore]) -> None:
    """Keep what the challenger made of the drivers that the champion scored."""
    rows = {
        ours.driver_id: ShadowRow(
            driver_id=ours.driver_id,
            calculated_at=ours.calculated_at,
            champion_version=ours.model_version,
            challenger_version=theirs.model_version,
            champion_score=ours.risk_score,
            challenger_score=theirs.risk_score,
            champion_frequency=ours.expected_claims_per_million_miles,
            challenger_frequency=theirs.expected_claims_per_million_miles,
        )
        for ours, theirs in zip(champion, challenger, strict=True)
    }
    await repository_models.put_shadow(uow, list(rows.values()))


def side_by_side(first: ScoringModel, second: ScoringModel, drivers: Sequence[LatestDriving]) -> list[ShadowRow]:
    """Score drivers' stored features with two models. Raises ``InvalidFeatures`` for values that cannot be."""
    if not drivers:
        return []
    made = [loaded.model.predict([one.features for one in drivers]) for loaded in (first, second)]
    now = clock.now()
    return [
        ShadowRow(
            driver_id=one.driver_id,
            calculated_at=now,
            champion_version=first.model.info.version,
            challenger_version=second.model.info.version,
            champion_score=first.scale.score(ours.frequency),
            challenger_score=second.scale.score(theirs.frequency),
            champion_frequency=ours.frequency,
            challenger_frequency=theirs.frequency,
        )
        for one, ours, theirs in zip(drivers, *made, strict=True)
    ]


def compare(champion: str, challenger: str, rows: Sequence[ShadowRow]) -> Comparison:
    """Compare two models over the drivers that both scored. Pure."""
    names = [name for _, name in CATEGORIES]
    table = {ours: dict.fromkeys(names, 0) for ours in names}
    for row in rows:
        table[category(row.champion_score)][category(row.challenger_score)] += 1
    if not rows:
        return Comparison(
            champion_version=champion, challenger_version=challenger, drivers=0, champion_mean_score=None,
            challenger_mean_score=None, mean_frequency_ratio=None, rank_correlation=None, stability_index=None,
            moved_more_than={}, categories=table,
        )  # fmt: skip
    ours = np.array([row.champion_score for row in rows])
    theirs = np.array([row.challenger_score for row in rows])
    before = np.array([row.champion_frequency for row in rows])
    after = np.array([row.challenger_frequency for row in rows])
    away = np.abs(theirs - ours)
    return Comparison(
        champion_version=champion,
        challenger_version=challenger,
        drivers=len(rows),
        champion_mean_score=round(float(ours.mean()), 2),
        challenger_mean_score=round(float(theirs.mean()), 2),
        mean_frequency_ratio=round(float(after.mean() / before.mean()), 4),
        rank_correlation=_spearman(before, after),
        stability_index=_stability(
            [sum(table[name].values()) for name in names],
            [sum(table[name][other] for name in names) for other in names],
        ),
        moved_more_than={f"{step:g}": round(float((away > step).mean()), 4) for step in STEPS},
        categories=table,
    )


def _spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Return Spearman's rank correlation with mean ranks for ties; None where one side has no spread."""
    ranks = [_ranks(values) for values in (first, second)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return None
    return round(float(np.corrcoef(ranks[0], ranks[1])[0, 1]), 4)


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean_rank: np.ndarray = (last - (count - 1) / 2.0)[place]
    return mean_rank


def _stability(before: Sequence[int], after: Sequence[int]) -> float:
    """Return the population stability index: sum of (a - b) ln(a / b) over the shares."""
    total_before, total_after = sum(before), sum(after)
    index = 0.0
    for b_count, a_count in zip(before, after, strict=True):
        b = max(b_count / total_before, SMALL_SHARE)
        a = max(a_count / total_after, SMALL_SHARE)
        index += (a - b) * log(a / b)
    return round(index, 4)
