"""Predictions of the released scorecard, calculated apart from its code: a changed number is a changed model."""

from __future__ import annotations

from math import exp

import pytest

from auto_insurance.risk.artefacts import load
from auto_insurance.risk.exposure import credibility

BASE = 5.0 / 1.070021

EXAMPLES = [
    # what, features, sum of slope * (min(value, cap) - reference) by hand
    ("braking 16 per 100 miles", {"harsh_braking_per_100mi": 16.0}, 0.015 * 6.0),
    ("braking far above the cap", {"harsh_braking_per_100mi": 80.0}, 0.015 * 40.0),
    ("no phone use", {"phone_s_per_hour": 0.0}, -0.0006 * 90.0),
    ("phone in a tenth of the time", {"phone_s_per_hour": 360.0}, 0.0006 * 270.0),
    ("a third of the miles at night", {"night_share": 0.33, "late_night_share": 0.1}, 0.6 * 0.25 + 0.8 * 0.08),
    (
        "speeding in all bands",
        {"speeding_s_per_100mi": 1800.0, "speeding_10_s_per_100mi": 700.0, "speeding_20_s_per_100mi": 120.0},
        0.0001 * 1000.0 + 0.0002 * 500.0 + 0.0008 * 100.0,
    ),
    (
        "smooth driver, limit unknown",
        {
            "harsh_braking_per_100mi": 1.0,
            "severe_braking_per_100mi": 0.0,
            "rapid_accel_per_100mi": 1.0,
            "severe_accel_per_100mi": 0.0,
            "harsh_corner_per_100mi": 0.5,
            "severe_corner_per_100mi": 0.0,
            "speeding_s_per_100mi": None,
            "rush_hour_share": 0.28,
        },
        -0.015 * 9 - 0.06 * 1.0 - 0.008 * 11 - 0.03 * 1.0 - 0.006 * 11.5 - 0.025 * 1.5,
    ),
]


@pytest.mark.parametrize(("what", "features", "log_effect"), EXAMPLES, ids=[row[0] for row in EXAMPLES])
def test_by_hand(what: str, features: dict[str, float | None], log_effect: float) -> None:
    (prediction,) = load("scorecard-1").model.predict([features])
    assert prediction.frequency == pytest.approx(BASE * exp(log_effect), rel=1e-9), what
    assert prediction.relativity == pytest.approx(exp(log_effect) / 1.070021, rel=1e-9)


def test_scores_of_the_scale() -> None:
    loaded = load("scorecard-1")
    assert loaded.scale.score(loaded.model.portfolio_frequency) == pytest.approx(68.65, abs=0.1)
    assert loaded.scale.score(loaded.model.base_frequency) == pytest.approx(62.68, abs=0.1)
    assert credibility(3000.0, loaded.half_credibility_miles) == 0.75
