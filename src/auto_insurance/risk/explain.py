"""Contributions of a prediction as reasons that a customer may read, ranked by what they do to the claim frequency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from typing import NamedTuple

import msgspec

from auto_insurance.risk.features import FEATURES
from auto_insurance.risk.model import Contribution
from auto_insurance.risk.schemas import Reason, RiskScore

SMALLEST_EFFECT_PCT = 0.5
"""Smaller effects are no reason."""


class Wording(NamedTuple):
    """How a feature is called and what a driver can do about it."""

    title: str
    advice: str


_AHEAD = "Leave three seconds to the car ahead and look further down the road; most hard stops are seen coming."
_SMOOTH = "Press the pedal gently for the first seconds after a stop."
_BENDS = "Brake before the bend rather than in it."
_LIMIT = "Set the speed limiter or cruise control to the posted limit."
_PHONE = "Put the phone out of reach, or let it answer messages while you drive."
_NIGHT = "Move trips out of the night where you can, and rest before long ones."

WORDINGS: Mapping[str, Wording] = {
    "harsh_braking_per_100mi": Wording("Harsh braking", _AHEAD),
    "severe_braking_per_100mi": Wording("Severe braking", _AHEAD),
    "rapid_accel_per_100mi": Wording("Rapid acceleration", _SMOOTH),
    "severe_accel_per_100mi": Wording("Severe acceleration", _SMOOTH),
    "harsh_corner_per_100mi": Wording("Harsh cornering", _BENDS),
    "severe_corner_per_100mi": Wording("Severe cornering", _BENDS),
    "speeding_s_per_100mi": Wording("Time 5 mph or more over the limit", _LIMIT),
    "speeding_10_s_per_100mi": Wording("Time 10 mph or more over the limit", _LIMIT),
    "speeding_20_s_per_100mi": Wording("Time 20 mph or more over the limit", _LIMIT),
    "phone_s_per_hour": Wording("Phone use on trips", _PHONE),
    "phone_moving_s_per_hour": Wording("Phone use while moving", _PHONE),
    "phone_fast_s_per_hour": Wording("Phone use from 25 mph on", _PHONE),
    "very_fast_s_per_hour": Wording("Driving at 80 mph or more", "Stay below 80 mph; it saves minutes at most."),
    "jerky_s_per_hour": Wording("Jerky driving", "Change between the pedals gently, from a distance that allows it."),
    "long_drive_share": Wording(
        "Driving more than two hours without a break", "Take a break of 15 minutes at least every two hours."
    ),
    "night_share": Wording("Driving between 22:00 and 05:00", _NIGHT),
    "late_night_share": Wording("Driving between midnight and 04:00", _NIGHT),
    "rush_hour_share": Wording("Driving in the rush hour", "Leaving half an hour earlier or later often halves it."),
}


def reasons(contributions: Sequence[Contribution]) -> list[Reason]:
    """Return one reason per contribution, the strongest effect first, unknown features last."""
    return sorted((_reason(part) for part in contributions), key=lambda r: (r.value is None, -abs(r.log_effect)))


def reason_codes(ranked: Sequence[Reason], at_most: int = 4) -> list[str]:
    """Return the codes of the strongest known reasons."""
    return [r.code for r in ranked if r.value is not None and abs(r.effect_pct) >= SMALLEST_EFFECT_PCT][:at_most]


def recommendations(ranked: Sequence[Reason], at_most: int = 3) -> list[Reason]:
    """Return the reasons that raise the frequency, strongest first, one per advice."""
    found: dict[str, Reason] = {}
    for reason in ranked:
        if reason.recommendation and reason.effect_pct >= SMALLEST_EFFECT_PCT:
            found.setdefault(reason.recommendation, reason)
    return list(found.values())[:at_most]


def without_advice(score: RiskScore) -> RiskScore:
    """Return a score whose reasons say what is, not what to do."""
    plain = [msgspec.structs.replace(reason, recommendation=None) for reason in score.contributions]
    return msgspec.structs.replace(score, contributions=plain)


def _reason(part: Contribution) -> Reason:
    wording = WORDINGS.get(part.feature, Wording(part.feature.replace("_", " "), ""))
    effect_pct = round(100.0 * (exp(part.log_effect) - 1.0), 2)
    direction = _direction(part)
    return Reason(
        code=f"{part.feature.upper()}_{direction.upper()}",
        feature=part.feature,
        title=wording.title,
        unit=FEATURES[part.feature].unit if part.feature in FEATURES else "",
        value=part.value,
        typical=part.typical,
        log_effect=part.log_effect,
        effect_pct=effect_pct,
        direction=direction,
        change_to_typical_pct=round(100.0 * (exp(-part.log_effect) - 1.0), 2),
        recommendation=wording.advice if direction == "raises" else None,
    )


def _direction(part: Contribution) -> str:
    if part.value is None:
        return "unknown"
    if part.log_effect > 0:
        return "raises"
    return "lowers" if part.log_effect < 0 else "typical"
