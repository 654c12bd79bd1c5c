"""Answers of the routes of the model registry."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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
