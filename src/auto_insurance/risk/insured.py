"""Who was insured when: stretches of cover, in months or terms, and which claims fell into them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from auto_insurance.risk.features import Doubles

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
        return years_of(self.insured)


def years_of(spans: Iterable[Span]) -> float:
    """Return how long stretches without overlap are together."""
    return sum((end - start).total_seconds() for start, end in spans) / 86_400 / DAYS_PER_YEAR


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
    cover = cover_of(terms, since, until)
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
    return tuple((max(start, since), min(end, until)) for start, end in spans if max(start, since) < min(end, until))


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


def cover_of(terms: Iterable[Term], since: datetime, until: datetime) -> dict[str, tuple[Span, ...]]:
    """Return the time in [since, until) in which each driver has cover, in order and without overlap."""
    found: dict[str, list[Span]] = {}
    for term in terms:
        found.setdefault(term.driver_id, []).extend(clip(term.in_force, since, until))
    return {driver_id: merge(spans) for driver_id, spans in found.items() if spans}
