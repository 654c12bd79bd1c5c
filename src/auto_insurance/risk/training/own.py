"""Driver-periods of our own book: who was insured when, how far and how they drove, and which claims followed.

Pure. What is known of the driving is what was known at the beginning of a period: the features are of trips before it.
Distance and claims are the period's, and only from while there was cover.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import msgspec
import numpy as np
import polars as pl

from auto_insurance.risk.exposure import ExposureCurve
from auto_insurance.risk.features import Doubles
from auto_insurance.risk.training.spec import TableSpec, shipped_spec

SPEC = "driving"
PERIOD_END = "period_end"
DAYS_PER_YEAR = 365.25
Span = tuple[datetime, datetime]
"""A stretch of time, [from, to)."""


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a policy with the stretches in which it has cover."""

    driver_id: str
    start: datetime
    end: datetime
    in_force: Sequence[Span]


@dataclass(frozen=True, slots=True)
class DriverPeriod:
    """A driver in a period, with the stretches of cover in it: in order, without overlap, at least one."""

    driver_id: str
    start: datetime
    end: datetime
    insured: tuple[Span, ...]

    @property
    def years(self) -> float:
        """Insured time."""
        return sum((to - start).total_seconds() for start, to in self.insured) / 86_400 / DAYS_PER_YEAR


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


def months(since: datetime, until: datetime) -> Iterator[Span]:
    """Yield the calendar months (UTC) of [since, until), the first and the last one cut."""
    start = since
    while start < until:
        year, month = start.year + start.month // 12, start.month % 12 + 1
        end = min(datetime(year, month, 1, tzinfo=UTC), until)
        yield start, end
        start = end


def monthly(terms: Iterable[Term], since: datetime, until: datetime) -> list[DriverPeriod]:
    """Return a row per driver and calendar month with cover in it, by driver and time."""
    cover = _cover(terms, since, until)
    periods = list(months(since, until))
    return [
        DriverPeriod(driver_id, start, end, spans)
        for driver_id in sorted(cover)
        for start, end in periods
        if (spans := clip(cover[driver_id], start, end))
    ]


def by_term(terms: Iterable[Term], since: datetime, until: datetime) -> list[DriverPeriod]:
    """Return a row per policy term with cover in [since, until), by driver and time; what lies outside is cut off."""
    found = []
    for term in sorted(terms, key=lambda one: (one.driver_id, one.start, one.end)):
        start, end = max(term.start, since), min(term.end, until)
        spans = clip(merge(term.in_force), start, end)
        if spans:
            found.append(DriverPeriod(term.driver_id, start, end, spans))
    return found


def merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the same time in order and without overlap: nobody is insured twice at once."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def clip(spans: Iterable[Span], since: datetime, until: datetime) -> tuple[Span, ...]:
    """Return the parts of the stretches that lie in [since, until)."""
    return tuple(
        (max(start, since), min(end, until)) for start, end in spans if max(start, since) < min(end, until)
    )


def count_claims(rows: Sequence[DriverPeriod], claims: Iterable[tuple[str, datetime]]) -> tuple[Doubles, int]:
    """Return the claims of each row, and how many fell into no insured time. ``claims`` are drivers and instants."""
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.driver_id, []).append(place)
    counts, outside = np.zeros(len(rows)), 0
    for driver_id, at in claims:
        hits = [p for p in places.get(driver_id, ()) if any(start <= at < end for start, end in rows[p].insured)]
        if hits:
            counts[hits[0]] += 1
        else:
            outside += 1
    return counts, outside


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


def _cover(terms: Iterable[Term], since: datetime, until: datetime) -> dict[str, tuple[Span, ...]]:
    found: dict[str, list[Span]] = {}
    for term in terms:
        found.setdefault(term.driver_id, []).extend(clip(term.in_force, since, until))
    return {driver_id: merge(spans) for driver_id, spans in found.items() if spans}


def _last_day(end: datetime) -> date:
    return end.astimezone(UTC).date()
