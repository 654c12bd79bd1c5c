"""What is known of a driver's or a trip's driving: one definition for training and for serving.

Every feature is a pure function of :class:`TripSums`, which adds up over trips: a driver over a window and a single
trip therefore have the same features. What was not observed is ``None``, never zero: seconds over the limit are over
the miles where the limit was known, phone seconds over the time in which the phone was watched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from auto_insurance.trips.schemas import TripSums, TripTotals

FEATURES_VERSION = "driving-1"
"""Changes when a name, unit or formula does; scores and artefacts carry it."""

FeatureValues = Mapping[str, float | None]
Doubles = NDArray[np.float64]

TRIPS_WINDOW = "the trips summed: a driver's scoring window, or one trip"
OWN_TRIPS = "trips of this system, see trips.models"


class Harm(StrEnum):
    """Which way a feature may move the expected claim frequency."""

    MORE_IS_WORSE = "more_is_worse"
    NONE = "none"
    """Context or exposure: no model may score it as behaviour."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A documented feature: a ratio of two sums over trips, ``scale * part / whole``, or a sum in units of ``per``.

    ``part`` and ``whole`` name fields of :class:`TripSums`. The value is ``unobserved`` where the whole is nothing.
    """

    name: str
    unit: str
    harm: Harm
    part: str
    whole: str | None = None
    scale: float = 1.0
    per: float = 1.0
    within: bool = False
    """The part is one of the whole: rounding may not make it larger."""
    unobserved: float | None = None
    upper: float | None = None
    """Largest possible value (a share ends at 1); None if open."""
    window: str = TRIPS_WINDOW
    source: str = OWN_TRIPS

    @property
    def formula(self) -> str:
        """The formula in terms of the sums, for people."""
        if self.whole is None:
            return self.part if self.per == 1.0 else f"{self.part} / {self.per:g}"
        ratio = f"{self.part} / {self.whole}"
        return ratio if self.scale == 1.0 else f"{self.scale:g} * {ratio}"

    def of(self, sums: TripSums) -> float | None:
        """Return the value in ``unit``, or None where it was not observed."""
        part: float = getattr(sums, self.part)
        if self.whole is None:
            return part / self.per
        whole: float = getattr(sums, self.whole)
        if whole <= 0:
            return self.unobserved
        # The quotient first: a part of a whole is then at most ``scale``, to the last bit.
        return self.scale * ((min(part, whole) if self.within else part) / whole)

    def of_all(self, sums: Mapping[str, Doubles]) -> Doubles:
        """Return the values of many at once, bit by bit those of :meth:`of`; NaN is None."""
        part = sums[self.part]
        if self.whole is None:
            return part / self.per
        whole = sums[self.whole]
        seen = whole > 0
        values = np.full(len(part), np.nan if self.unobserved is None else self.unobserved)
        with np.errstate(over="ignore", under="ignore"):
            np.divide(np.minimum(part, whole) if self.within else part, whole, out=values, where=seen)
            np.multiply(values, self.scale, out=values, where=seen)
        return values


def _per_100_miles(name: str, count: str) -> Feature:
    return Feature(name, "events per 100 miles", Harm.MORE_IS_WORSE, count, "distance_miles", scale=100.0)


def _over_limit(name: str, seconds: str) -> Feature:
    unit = "seconds per 100 miles with a known limit"
    return Feature(name, unit, Harm.MORE_IS_WORSE, seconds, "speed_limit_known_miles", scale=100.0)


def _share(name: str, miles: str, harm: Harm) -> Feature:
    return Feature(name, "share of miles", harm, miles, "distance_miles", within=True, upper=1.0)


BEHAVIOUR: Sequence[Feature] = (
    _per_100_miles("harsh_braking_per_100mi", "harsh_braking_count"),
    _per_100_miles("severe_braking_per_100mi", "harsh_braking_severe_count"),
    _per_100_miles("rapid_accel_per_100mi", "rapid_accel_count"),
    _per_100_miles("severe_accel_per_100mi", "rapid_accel_severe_count"),
    _per_100_miles("harsh_corner_per_100mi", "harsh_corner_count"),
    _per_100_miles("severe_corner_per_100mi", "harsh_corner_severe_count"),
    _over_limit("speeding_s_per_100mi", "speeding_s"),
    _over_limit("speeding_10_s_per_100mi", "speeding_10_s"),
    _over_limit("speeding_20_s_per_100mi", "speeding_20_s"),
    Feature(
        "phone_s_per_hour",
        "seconds per hour in which phone use was observed",
        Harm.MORE_IS_WORSE,
        "phone_usage_s",
        "phone_known_s",
        scale=3600.0,
        within=True,
        upper=3600.0,
    ),
    _share("night_share", "night_miles", Harm.MORE_IS_WORSE),
    _share("late_night_share", "late_night_miles", Harm.MORE_IS_WORSE),
    _share("rush_hour_share", "rush_hour_miles", Harm.MORE_IS_WORSE),
)
"""What a model may score. Severe events and higher bands of speed are contained in the wider ones, so that a worse
event raises one feature and lowers none."""

CONTEXT: Sequence[Feature] = (
    Feature(
        "phone_s_per_100mi",
        "seconds per 100 miles in which phone use was observed",
        Harm.NONE,
        "phone_usage_s",
        "phone_known_miles",
        scale=100.0,
    ),
    _share("weekend_share", "weekend_miles", Harm.NONE),
    _share("low_speed_share", "low_speed_miles", Harm.NONE),
    _share("high_speed_share", "high_speed_miles", Harm.NONE),
    Feature("exposure_miles", "miles", Harm.NONE, "distance_miles"),
    Feature("driving_hours", "hours", Harm.NONE, "duration_s", per=3600.0),
    Feature(
        "speed_limit_known_share",
        "share of miles",
        Harm.NONE,
        "speed_limit_known_miles",
        "distance_miles",
        within=True,
        unobserved=0.0,
    ),
)
"""Shown beside a score, never scored: distance belongs to exposure, road type is not the driver's doing, and phone
use counts once, per hour."""

FEATURES: Mapping[str, Feature] = {feature.name: feature for feature in (*BEHAVIOUR, *CONTEXT)}


def extract(sums: TripSums) -> dict[str, float | None]:
    """Return every feature of a driver's totals or of one trip; None is unknown."""
    return {name: feature.of(sums) for name, feature in FEATURES.items()}


def extract_all(sums: Mapping[str, Doubles]) -> dict[str, Doubles]:
    """Return every feature of many drivers or trips; ``sums`` has an array per field of ``TripSums``. NaN: unknown."""
    return {name: feature.of_all(sums) for name, feature in FEATURES.items()}


def driver_features(totals: TripTotals) -> dict[str, float | None]:
    """Return a driver's features, with the number of trips and the days from the first to the last of them."""
    return {**extract(totals), "trips": float(totals.trip_count), "observed_days": observed_days(totals)}


def observed_days(totals: TripTotals) -> float:
    """Return the days from the first start to the last end of the summed trips, 0 without trips."""
    if totals.first_start is None or totals.last_end is None:
        return 0.0
    return max(0.0, (totals.last_end - totals.first_start).total_seconds() / 86_400.0)
