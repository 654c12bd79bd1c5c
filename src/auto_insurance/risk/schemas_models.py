"""Answers of the routes of the model registry."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from auto_insurance.risk.repository_drift import DriftNight
from auto_insurance.risk.schemas import ModelStatus

VERSION_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class ModelItem(BaseModel):
    """A model that may score."""

    version: str
    kind: str
    status: ModelStatus
    in_use: bool = Field(description="It scores drivers now.")
    shipped: bool = Field(description="It came with the program.")
    simulated: bool = Field(description="No observed claims stand behind it.")
    trained_on: str
    sha256: str = Field(description="Of the uploaded file; empty for a shipped model.")
    metrics: dict[str, float]
    created_at: datetime
    created_by: str
    changed_at: datetime


class ModelChangeItem(BaseModel):
    """Who made a model what."""

    version: str
    from_status: ModelStatus | None
    to_status: ModelStatus
    changed_at: datetime
    changed_by: str
    note: str | None


class ModelsOut(BaseModel):
    """The registry."""

    champion: str
    challenger: str | None
    models: list[ModelItem]
    changes: list[ModelChangeItem] = Field(description="The last 100, newest first.")


class ActivateRequest(BaseModel):
    """What to make of a model."""

    model_config = ConfigDict(extra="forbid")

    status: Literal[ModelStatus.CHAMPION, ModelStatus.SHADOW, ModelStatus.RETIRED] = Field(
        ModelStatus.CHAMPION, description="champion scores, shadow scores beside it without effect."
    )
    note: str | None = Field(None, max_length=500, description="Why, for the record.")


class RollBackRequest(BaseModel):
    """Why to go back."""

    model_config = ConfigDict(extra="forbid")

    note: str | None = Field(None, max_length=500)


class ComparisonOut(BaseModel):
    """Champion against challenger over the drivers that both scored."""

    champion_version: str
    challenger_version: str
    drivers: int
    champion_mean_score: float | None
    challenger_mean_score: float | None
    mean_frequency_ratio: float | None = Field(description="Challenger's mean frequency over the champion's.")
    rank_correlation: float | None = Field(description="Spearman's, of the frequencies.")
    stability_index: float | None = Field(description="PSI of the categories; above 0.25 the book looks another.")
    moved_more_than: dict[str, float] = Field(description="Share of drivers by points of the score that they moved.")
    categories: dict[str, dict[str, int]] = Field(description="Drivers by the champion's, then the challenger's.")


class DriftItem(BaseModel):
    """How far the book was one night from what the model learned from."""

    measured_at: datetime
    model_version: str
    drivers: int = Field(description="Drivers with a current score of the model.")
    score_drift: float | None = Field(description="Stability index of the predicted frequency; null with few drivers.")
    feature_drift: dict[str, float | None] = Field(description="By feature; null where nothing is known.")
    insured_years: float = Field(description="Insured time of the drivers in the last year.")
    actual_claims: int
    expected_claims: float
    actual_to_expected: float | None = Field(description="Null where nobody has cover.")
    low: float | None = Field(description="95 % interval of the ratio if the claims are Poisson.")
    high: float | None

    @classmethod
    def of(cls, night: DriftNight) -> Self:
        """Return a measurement as HTTP clients see it."""
        low, high = poisson_interval(night.actual_claims)
        expected = night.expected_claims
        return cls(
            measured_at=night.measured_at,
            model_version=night.model_version,
            drivers=night.drivers,
            score_drift=night.score_drift,
            feature_drift=night.feature_drift,
            insured_years=night.insured_years,
            actual_claims=night.actual_claims,
            expected_claims=expected,
            actual_to_expected=round(night.actual_claims / expected, 4) if expected > 0 else None,
            low=round(low / expected, 4) if expected > 0 else None,
            high=round(high / expected, 4) if expected > 0 else None,
        )


class DriftOut(BaseModel):
    """The nightly measurements."""

    stable_below: float = Field(description="An index below this counts as stable.")
    moved_above: float = Field(description="Above this the book has moved.")
    nights: list[DriftItem]


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the 95 % interval of a Poisson mean by Byar's approximation (Breslow and Day, 1987, table 2.11)."""
    low = 0.0 if count == 0 else count * (1.0 - 1.0 / (9.0 * count) - 1.96 / (3.0 * count**0.5)) ** 3
    above = count + 1
    return low, above * (1.0 - 1.0 / (9.0 * above) + 1.96 / (3.0 * above**0.5)) ** 3
