"""What a fitted model says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a model is and what it rests on."""

    name: str
    kind: str
    data: str
    """Name of the specification of the data."""
    data_fingerprint: str
    """SHA-256 of what it was fitted on."""
    rows: int
    simulated: bool
    """True if the claims were: such a model must not price in production unasked."""
    trained_on: str
    """A sentence for people."""
    trained_at: str
    """ISO 8601, UTC."""
    seed: int
    exposure: str
    exposure_unit: str
    max_exposure: float | None
    claims: str
    max_claims: float | None
    settings: dict[str, Any]
    """What was fitted with: enough to do it again."""
    metrics: dict[str, float]
    """Out-of-fold figures, by name."""
    features_version: str = ""
    """Of ``risk.features``, where the features are those; empty for other data."""
    reference: tuple[float, ...] = ()
    """Equally spaced quantiles of the frequency in the training portfolio by exposure, lowest first."""
    portfolio_frequency: float | None = None
    """Mean frequency of the training portfolio by exposure: no mean of quantiles, of which the highest is extreme."""
    half_credibility_miles: float | None = None
    """Miles at which own driving and the portfolio count alike, by Buehlmann-Straub; None: not told by the data."""


def with_metrics(about: About, metrics: Mapping[str, float]) -> About:
    """Return the description with other figures."""
    return msgspec.structs.replace(about, metrics=dict(metrics))
