"""What is known of a driver's or a trip's driving: one definition for training and for serving.

Every feature is a pure function of :class:`TripSums`, which adds up over trips: a driver over a window and a single
trip therefore have the same features. What was not observed is ``None``, never zero: seconds over the limit are over
the miles where the limit was known, phone seconds over the time in which the phone was watched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from auto_insurance.trips.schemas import TripSums, TripTotals

FEATURES_VERSION = "driving-1"
"""Changes when a name, unit or formula does; scores and artefacts carry it."""

FeatureValues = Mapping[str, float | None]

TRIPS_WINDOW = "the trips summed: a driver's scoring window, or one trip"
OWN_TRIPS = "trips of this system, see trips.models"


class Harm(StrEnum):
    """Which way a feature may move the expected claim frequency."""

    MORE_IS_WORSE = "more_is_worse"
    NONE = "none"
    """Context or exposure: no model may score it as behaviour."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A documented feature: ``of`` gives its value in ``unit``, or None where it was not observed."""

    name: str
    unit: str
    formula: str
    harm: Harm
    of: Callable[[TripSums], float | None]
    upper: float | None = None
    """Largest possible value (a share ends at 1); None if open."""
    window: str = TRIPS_WINDOW
    source: str = OWN_TRIPS


def _ratio(part: float, whole: float, scale: float = 1.0) -> float | None:
    """Return ``scale * part / whole``, or None where nothing was observed."""
    # The quotient first: a part of a whole is then at most ``scale``, to the last bit.
    return scale * (part / whole) if whole > 0 else None


def _per_100_miles(name: str, formula: str, count: Callable[[TripSums], float]) -> Feature:
    return Feature(
        name,
        "events per 100 miles",
        f"100 * {formula} / distance_miles",
        Harm.MORE_IS_WORSE,
        lambda s: _ratio(count(s), s.distance_miles, 100.0),
    )


def _over_limit(name: str, formula: str, seconds: Callable[[TripSums], float]) -> Feature:
    return Feature(
        name,
        "seconds per 100 miles with a known limit",
        f"100 * {formula} / speed_limit_known_miles",
        Harm.MORE_IS_WORSE,
        lambda s: _ratio(seconds(s), s.speed_limit_known_miles, 100.0),
    )


def _share(name: str, formula: str, miles: Callable[[TripSums], float], harm: Harm) -> Feature:
    return Feature(
        name,
        "share of miles",
        f"{formula} / distance_miles",
        harm,
        lambda s: _ratio(min(miles(s), s.distance_miles), s.distance_miles),
        upper=1.0,
    )


def _total(name: str, unit: str, formula: str, value: Callable[[TripSums], float]) -> Feature:
    return Feature(name, unit, formula, Harm.NONE, value)


BEHAVIOUR: Sequence[Feature] = (
    _per_100_miles("harsh_braking_per_100mi", "harsh_braking_count", lambda s: s.harsh_braking_count),
    _per_100_miles("severe_braking_per_100mi", "harsh_braking_severe_count", lambda s: s.harsh_braking_severe_count),
    _per_100_miles("rapid_accel_per_100mi", "rapid_accel_count", lambda s: s.rapid_accel_count),
    _per_100_miles("severe_accel_per_100mi", "rapid_accel_severe_count", lambda s: s.rapid_accel_severe_count),
    _per_100_miles("harsh_corner_per_100mi", "harsh_corner_count", lambda s: s.harsh_corner_count),
    _per_100_miles("severe_corner_per_100mi", "harsh_corner_severe_count", lambda s: s.harsh_corner_severe_count),
    _over_limit("speeding_s_per_100mi", "speeding_s", lambda s: s.speeding_s),
    _over_limit("speeding_10_s_per_100mi", "speeding_10_s", lambda s: s.speeding_10_s),
    _over_limit("speeding_20_s_per_100mi", "speeding_20_s", lambda s: s.speeding_20_s),
    Feature(
        "phone_s_per_hour",
        "seconds per hour in which phone use was observed",
        "3600 * phone_usage_s / phone_known_s",
        Harm.MORE_IS_WORSE,
        lambda s: _ratio(min(s.phone_usage_s, s.phone_known_s), s.phone_known_s, 3600.0),
        upper=3600.0,
    ),
    _share("night_share", "night_miles", lambda s: s.night_miles, Harm.MORE_IS_WORSE),
    _share("late_night_share", "late_night_miles", lambda s: s.late_night_miles, Harm.MORE_IS_WORSE),
    _share("rush_hour_share", "rush_hour_miles", lambda s: s.rush_hour_miles, Harm.MORE_IS_WORSE),
)
"""What a model may score. Severe events and higher bands of speed are contained in the wider ones, so that a worse
event raises one feature and lowers none."""

CONTEXT: Sequence[Feature] = (
    Feature(
        "phone_s_per_100mi",
        "seconds per 100 miles in which phone use was observed",
        "100 * phone_usage_s / phone_known_miles",
        Harm.NONE,
        lambda s: _ratio(s.phone_usage_s, s.phone_known_miles, 100.0),
    ),
    _share("weekend_share", "weekend_miles", lambda s: s.weekend_miles, Harm.NONE),
    _share("low_speed_share", "low_speed_miles", lambda s: s.low_speed_miles, Harm.NONE),
    _share("high_speed_share", "high_speed_miles", lambda s: s.high_speed_miles, Harm.NONE),
    _total("exposure_miles", "miles", "distance_miles", lambda s: s.distance_miles),
    _total("driving_hours", "hours", "duration_s / 3600", lambda s: s.duration_s / 3600.0),
    _total(
        "speed_limit_known_share",
        "share of miles",
        "speed_limit_known_miles / distance_miles",
        lambda s: _ratio(min(s.speed_limit_known_miles, s.distance_miles), s.distance_miles) or 0.0,
    ),
)
"""Shown beside a score, never scored: distance belongs to exposure, road type is not the driver's doing, and phone
use counts once, per hour."""

FEATURES: Mapping[str, Feature] = {feature.name: feature for feature in (*BEHAVIOUR, *CONTEXT)}


def extract(sums: TripSums) -> dict[str, float | None]:
    """Return every feature of a driver's totals or of one trip; None is unknown."""
    return {name: feature.of(sums) for name, feature in FEATURES.items()}


def driver_features(totals: TripTotals) -> dict[str, float | None]:
    """Return a driver's features, with the number of trips and the days from the first to the last of them."""
    return {**extract(totals), "trips": float(totals.trip_count), "observed_days": observed_days(totals)}


def observed_days(totals: TripTotals) -> float:
    """Return the days from the first start to the last end of the summed trips, 0 without trips."""
    if totals.first_start is None or totals.last_end is None:
        return 0.0
    return max(0.0, (totals.last_end - totals.first_start).total_seconds() / 86_400.0)
