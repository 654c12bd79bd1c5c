"""What is known of a driver's or a trip's driving: one definition for training and for serving.

Every feature of driving is a pure function of :class:`TripSums`, which adds up over trips: a driver over a window and a
single trip therefore have the same features. What was not observed is ``None``, never zero: seconds over the limit are
over the miles where the limit was known, phone seconds over the time in which the phone was watched. Spreads come from
sums of squares. What is known of the driver and the vehicle beside their trips is as of a day: see :func:`of_facts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from auto_insurance.trips.schemas import TripSums, TripTotals

FEATURES_VERSION = "driving-2"
"""Changes when a name, unit or formula does; scores and artefacts carry it."""

FeatureValues = Mapping[str, float | None]
Doubles = NDArray[np.float64]

TRIPS_WINDOW = "the trips summed: a driver's scoring window, or one trip"
OWN_TRIPS = "trips of this system, see trips.models"
AS_OF_THE_DAY = "as of the day of the cut-off"
OWN_FACTS = "the driver's facts, see drivers.schemas"
DAYS_PER_YEAR = 365.25


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


@dataclass(frozen=True, slots=True)
class Spread:
    """How much something varies: ``scale * sqrt(square / whole - (part / whole) ** 2)``, all sums over trips.

    Without a ``part`` it is the root of the mean square. The value is unknown where the whole is nothing.
    """

    name: str
    unit: str
    square: str
    whole: str
    part: str | None = None
    scale: float = 1.0
    harm: Harm = Harm.NONE
    upper: float | None = None
    window: str = TRIPS_WINDOW
    source: str = OWN_TRIPS

    @property
    def formula(self) -> str:
        """The formula in terms of the sums, for people."""
        mean = "" if self.part is None else f" - ({self.part} / {self.whole}) ** 2"
        root = f"sqrt({self.square} / {self.whole}{mean})"
        return root if self.scale == 1.0 else f"{self.scale:g} * {root}"

    def of(self, sums: TripSums) -> float | None:
        """Return the value in ``unit``, or None where it was not observed."""
        whole: float = getattr(sums, self.whole)
        if whole <= 0:
            return None
        square: float = getattr(sums, self.square)
        mean: float = 0.0 if self.part is None else getattr(sums, self.part) / whole
        # Rounding may leave the mean of the squares a little below the square of the mean.
        return self.scale * sqrt(max(0.0, square / whole - mean * mean))

    def of_all(self, sums: Mapping[str, Doubles]) -> Doubles:
        """Return the values of many at once, bit by bit those of :meth:`of`; NaN is None."""
        whole = sums[self.whole]
        seen = whole > 0
        base = np.where(seen, whole, 1.0)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            mean = np.zeros(len(whole)) if self.part is None else sums[self.part] / base
            # As max does in ``of``, fmax takes the number where the other is none.
            values = self.scale * np.sqrt(np.fmax(0.0, sums[self.square] / base - mean * mean))
        return np.where(seen, values, np.nan)


def _per_100_miles(name: str, count: str) -> Feature:
    return Feature(name, "events per 100 miles", Harm.MORE_IS_WORSE, count, "distance_miles", scale=100.0)


def _over_limit(name: str, seconds: str) -> Feature:
    unit = "seconds per 100 miles with a known limit"
    return Feature(name, unit, Harm.MORE_IS_WORSE, seconds, "speed_limit_known_miles", scale=100.0)


def _share(name: str, miles: str, harm: Harm) -> Feature:
    return Feature(name, "share of miles", harm, miles, "distance_miles", within=True, upper=1.0)


def _per_hour(name: str, unit: str, seconds: str, known: str, harm: Harm = Harm.MORE_IS_WORSE) -> Feature:
    unit = f"seconds per hour in which {unit}"
    return Feature(name, unit, harm, seconds, known, scale=3600.0, within=True, upper=3600.0)


def _phone_at_speed(name: str, seconds: str, harm: Harm = Harm.MORE_IS_WORSE) -> Feature:
    return _per_hour(name, "phone use and speed were observed", seconds, "phone_speed_known_s", harm)


def _share_of_time(name: str, seconds: str) -> Feature:
    unit = "share of the time with a known speed"
    return Feature(name, unit, Harm.NONE, seconds, "speed_known_s", within=True, upper=1.0)


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
    _per_hour("phone_s_per_hour", "phone use was observed", "phone_usage_s", "phone_known_s"),
    _phone_at_speed("phone_moving_s_per_hour", "phone_moving_s"),
    _phone_at_speed("phone_fast_s_per_hour", "phone_fast_s"),
    _per_hour("very_fast_s_per_hour", "speed was observed", "speed_very_fast_s", "speed_known_s"),
    _per_hour("jerky_s_per_hour", "jerk was observed", "jerky_s", "jerk_known_s"),
    Feature(
        "long_drive_share",
        "share of moving time",
        Harm.MORE_IS_WORSE,
        "long_drive_s",
        "moving_s",
        within=True,
        upper=1.0,
    ),
    _share("night_share", "night_miles", Harm.MORE_IS_WORSE),
    _share("late_night_share", "late_night_miles", Harm.MORE_IS_WORSE),
    _share("rush_hour_share", "rush_hour_miles", Harm.MORE_IS_WORSE),
)
"""What a model may score. Severe events, higher bands of speed and phone use at speed are contained in the wider ones,
so that a worse event raises one feature and lowers none."""

CONTEXT: Sequence[Feature | Spread] = (
    Feature(
        "phone_s_per_100mi",
        "seconds per 100 miles in which phone use was observed",
        Harm.NONE,
        "phone_usage_s",
        "phone_known_miles",
        scale=100.0,
    ),
    _phone_at_speed("phone_standing_s_per_hour", "phone_standing_s", Harm.NONE),
    _share("weekend_share", "weekend_miles", Harm.NONE),
    _share("low_speed_share", "low_speed_miles", Harm.NONE),
    _share("high_speed_share", "high_speed_miles", Harm.NONE),
    Feature("mean_speed_mph", "mph", Harm.NONE, "speed_mph_s", "speed_known_s"),
    Spread("speed_spread_mph", "mph, standard deviation over time", "speed_mph2_s", "speed_known_s", "speed_mph_s"),
    _share_of_time("standing_time_share", "speed_standing_s"),
    _share_of_time("slow_time_share", "speed_slow_s"),
    _share_of_time("fast_time_share", "speed_fast_s"),
    Spread("jerk_rms_ms3", "m/s3, root mean square over time", "jerk_square", "jerk_known_s"),
    Spread(
        "braking_spread_per_100mi",
        "events per 100 miles, standard deviation between trips by miles",
        "braking_square",
        "distance_miles",
        "harsh_braking_count",
        scale=100.0,
    ),
    Spread(
        "pace_spread_mph",
        "mph, standard deviation of a trip's mean speed between trips by time",
        "pace_square",
        "duration_s",
        "distance_miles",
        scale=3600.0,
    ),
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
"""Shown beside a score, never scored: distance belongs to exposure, road type is not the driver's doing, phone use at a
standstill disturbs nobody's driving, and what jerk and phone use say counts once. Spreads between trips say how
consistent a driver is; no study cited here ties that to claims."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something known of a driver beside the trips; never scored, as the rating plan counts it."""

    name: str
    unit: str
    formula: str
    window: str = AS_OF_THE_DAY
    source: str = OWN_FACTS


OF_DRIVERS: Sequence[Fact] = (
    Fact("trips", "trips", "trip_count", TRIPS_WINDOW, OWN_TRIPS),
    Fact(
        "observed_days",
        "days from the first to the last trip",
        "(last_end - first_start) / 86400 s",
        TRIPS_WINDOW,
        OWN_TRIPS,
    ),
    Fact("licence_years", "years", "(day - licence_date) / 365.25 days"),
    Fact("vehicle_age_years", "years", "year of the day - model year"),
)
"""Features of drivers alone, not of single trips."""

FEATURES: Mapping[str, Feature | Spread] = {feature.name: feature for feature in (*BEHAVIOUR, *CONTEXT)}


def extract(sums: TripSums) -> dict[str, float | None]:
    """Return every feature of a driver's totals or of one trip; None is unknown."""
    return {name: feature.of(sums) for name, feature in FEATURES.items()}


def extract_all(sums: Mapping[str, Doubles]) -> dict[str, Doubles]:
    """Return every feature of many drivers or trips; ``sums`` has an array per field of ``TripSums``. NaN: unknown."""
    return {name: feature.of_all(sums) for name, feature in FEATURES.items()}


def driver_features(totals: TripTotals, facts: FeatureValues | None = None) -> dict[str, float | None]:
    """Return a driver's features: of the trips and, if given, what :func:`of_facts` made of driver and vehicle."""
    days = observed_days(totals)
    return {**extract(totals), "trips": float(totals.trip_count), "observed_days": days, **(facts or {})}


def observed_days(totals: TripTotals) -> float:
    """Return the days from the first start to the last end of the summed trips, 0 without trips."""
    if totals.first_start is None or totals.last_end is None:
        return 0.0
    return max(0.0, (totals.last_end - totals.first_start).total_seconds() / 86_400.0)


def of_facts(licence_date: date | None, model_year: int | None, on: date) -> dict[str, float | None]:
    """Return experience and the vehicle's age in years as of a day; None is unknown.

    A licence or a model year after that day is unknown, as nothing of the future counts; a model year begins in the
    year before the one that it is named after.
    """
    days = -1 if licence_date is None else (on - licence_date).days
    age = -2 if model_year is None else on.year - model_year
    return {
        "licence_years": days / DAYS_PER_YEAR if days >= 0 else None,
        "vehicle_age_years": float(max(0, age)) if age >= -1 else None,
    }
