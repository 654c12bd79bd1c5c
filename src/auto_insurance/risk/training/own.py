"""The training data set of our own book: driver-periods with their exposure, claims and the driving before them.

Pure. What is known of the driving is what was known at the beginning of a period: the features are of trips before it.
Distance and claims are the period's, and only from while there was cover.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import msgspec
import numpy as np
import polars as pl

from auto_insurance.risk.exposure import ExposureCurve
from auto_insurance.risk.features import Doubles
from auto_insurance.risk.insured import DriverPeriod
from auto_insurance.risk.training.spec import TableSpec, shipped_spec

SPEC = "driving"
PERIOD_END = "period_end"


@dataclass(slots=True)
class Known:
    """What is known of the driver-periods, each by its place."""

    features: Mapping[str, Doubles]
    """At the beginning of the period; NaN where nothing was observed."""
    miles: Doubles
    """Driven while insured."""
    claims: Doubles
    ages: Sequence[int | None] = field(default_factory=list)
    regions: Sequence[str | None] = field(default_factory=list)


def frame_of(rows: Sequence[DriverPeriod], known: Known, curve: ExposureCurve) -> pl.DataFrame:
    """Return the data set: the columns of the specification ``driving``, and the exposure in time and miles beside.

    The exposure is distance that counts less than in proportion, as in serving: ``years * reference_miles * (miles a
    year / reference_miles) ** exponent``, in million miles.
    """
    drivers = {driver_id: number for number, driver_id in enumerate(sorted({row.driver_id for row in rows}))}
    years = np.array([row.years for row in rows])
    scaled = [
        curve.claims_per_year(1.0, miles / span) * span
        for miles, span in zip(known.miles.tolist(), years.tolist(), strict=True)
    ]
    return pl.DataFrame(
        {
            "driver_number": [drivers[row.driver_id] for row in rows],
            "period_start": [row.start for row in rows],
            PERIOD_END: [_last_day(row.end) for row in rows],
            "exposure_years": years,
            "miles": known.miles,
            "exposure_million_miles": np.array(scaled, np.float64),
            "claims": known.claims.astype(np.int64),
            "age": pl.Series(list(known.ages), dtype=pl.Int64),
            "region": pl.Series(list(known.regions), dtype=pl.String),
            **{name: pl.Series(values).fill_nan(None) for name, values in known.features.items()},
        }
    )


def spec_for(frame: pl.DataFrame) -> TableSpec:
    """Return the shipped specification as far as a file has its columns: time and segments are used where they are."""
    spec = shipped_spec(SPEC)
    return msgspec.structs.replace(
        spec,
        segments=tuple(name for name in spec.segments if name in frame.columns),
        period_end=PERIOD_END if PERIOD_END in frame.columns else spec.period_end,
    )


def _last_day(end: datetime) -> date:
    return end.astimezone(UTC).date()
