"""Builds the answers of the routes from scores."""

from __future__ import annotations

from auto_insurance.risk.explain import reason_codes, recommendations
from auto_insurance.risk.features import FEATURES, OF_DRIVERS
from auto_insurance.risk.model import ModelInfo
from auto_insurance.risk.schemas import (
    ContributionOut,
    FeatureOut,
    ModelOut,
    Reason,
    RecommendationOut,
    RiskBreakdownOut,
    RiskScore,
    RiskScoreOut,
)
from auto_insurance.risk.service import RiskService

_UNITS_OF_DRIVERS = {fact.name: fact.unit for fact in OF_DRIVERS}


def model_out(info: ModelInfo, score: RiskScore) -> ModelOut:
    """Return what is known of the model that gave the score; another than the one in use is only named."""
    if score.model_version != info.version:
        return ModelOut(
            version=score.model_version,
            kind="retired",
            trained_on="A model that is no longer in use; see its model card.",
            assumption_based=score.simulated,
            reference_population="see the model card",
        )
    return ModelOut(
        version=info.version,
        kind=info.kind,
        trained_on=info.trained_on,
        assumption_based=info.assumption_based,
        reference_population=info.reference_population,
    )


def breakdown_out(risk: RiskService, score: RiskScore) -> RiskBreakdownOut:
    """Return a score with everything behind it."""
    base = RiskScoreOut.of(score, model_out(risk.model, score))
    return RiskBreakdownOut(
        **base.model_dump(),
        base_claims_per_million_miles=risk.base_frequency,
        expected_claims_per_year=risk.expected_claims_per_year(score),
        features_version=score.features_version,
        features=[_feature(risk, name, value) for name, value in score.features.items()],
        contributions=[contribution_out(reason) for reason in score.contributions],
        reason_codes=reason_codes(score.contributions),
        recommendations=[recommendation_out(reason) for reason in recommendations(score.contributions)],
    )


def _feature(risk: RiskService, name: str, value: float | None) -> FeatureOut:
    known = FEATURES.get(name)
    typical = risk.typical(name)
    unit = known.unit if known is not None else _UNITS_OF_DRIVERS.get(name, "")
    return FeatureOut(name=name, value=value, unit=unit, typical=typical, scored=typical is not None)


def contribution_out(reason: Reason) -> ContributionOut:
    """Return a contribution as HTTP clients see it."""
    return ContributionOut(
        code=reason.code,
        feature=reason.feature,
        title=reason.title,
        unit=reason.unit,
        value=reason.value,
        typical=reason.typical,
        effect_pct=reason.effect_pct,
        log_effect=reason.log_effect,
        direction=reason.direction,
    )


def recommendation_out(reason: Reason) -> RecommendationOut:
    """Return a recommendation as HTTP clients see it."""
    return RecommendationOut(
        code=reason.code,
        title=reason.title,
        text=reason.recommendation or "",
        value=reason.value if reason.value is not None else reason.typical,
        typical=reason.typical,
        unit=reason.unit,
        effect_if_typical_pct=reason.change_to_typical_pct,
    )
