"""Builds the training data set from our own tables: insured driver-periods, their driving before, their claims."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

import numpy as np
import polars as pl

from auto_insurance.drivers.schemas import DriverFacts, Purpose
from auto_insurance.drivers.service import ConsentService
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.risk import repository_exposure
from auto_insurance.risk.errors import NothingToLearnFrom
from auto_insurance.risk.exposure import ExposureCurve
from auto_insurance.risk.features import Doubles, extract_all
from auto_insurance.risk.insured import DriverPeriod, Span, Term, by_term, count_claims, monthly
from auto_insurance.risk.periods import PeriodKind
from auto_insurance.risk.training.own import Known, frame_of
from auto_insurance.trips.schemas import BookTotals

CHUNK = 5_000
Progress = Callable[[int, int], None]
"""Called with the driver-periods done and those there are."""


class Trips(Protocol):
    """What is needed of the trips service."""

    async def totals_of_book(
        self, uow: UnitOfWork, driver_ids: Sequence[str], since: datetime, until: datetime
    ) -> BookTotals: ...


class Drivers(Protocol):
    """What is needed of the drivers service."""

    async def facts_many(self, uow: UnitOfWork, driver_ids: Collection[str]) -> dict[str, DriverFacts]: ...


@dataclass(frozen=True, slots=True)
class DatasetRequest:
    """Cover, driving and claims of [since, until); of the claims those that were reported before ``known_by``."""

    since: datetime
    until: datetime
    period: PeriodKind = PeriodKind.MONTH
    known_by: datetime | None = None
    """Now if it is left out: a claim that was reported late counts in the period of its loss."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """The data set and what was left out of it."""

    frame: pl.DataFrame
    drivers: int
    claims: int
    without_driving: int
    """Driver-periods with cover in which not a mile was recorded: there is no exposure to learn from."""
    claims_without_driving: int
    claims_without_cover: int
    withheld: int = 0
    """Insured drivers who do not allow that models learn from them."""


class DatasetBuilder:
    """Reads the read model of policies and claims, the trips and the drivers' facts."""

    def __init__(self, trips: Trips, drivers: Drivers, curve: ExposureCurve, window_days: int = 365) -> None:
        """``curve``: what a distance counts; ``window_days``: how far back driving counts, as in serving."""
        self._trips = trips
        self._drivers = drivers
        self._curve = curve
        self._window = timedelta(days=window_days)
        self._consents = ConsentService()

    async def build(self, uow: UnitOfWork, wanted: DatasetRequest, progress: Progress | None = None) -> Dataset:
        """Return the data set. Trips and claims from ``until`` on change nothing in it.

        Raises ``NothingToLearnFrom`` if nobody was insured or no mile was driven under cover.
        """
        rows, withheld = await self._allowed(uow, await self._rows(uow, wanted))
        if not rows:
            raise NothingToLearnFrom("Nobody was insured in that time, as far as the events of policies tell.")
        known_by = wanted.known_by or clock.now()
        found = await repository_exposure.claims(uow, wanted.since, wanted.until, known_by)
        counted = [(one.driver_id, one.occurred_at) for one in found if one.driver_id not in withheld]
        claims, outside = count_claims(rows, counted)
        features: list[dict[str, Doubles]] = []
        miles: list[Doubles] = []
        for start in range(0, len(rows), CHUNK):
            if progress is not None:
                progress(start, len(rows))
            piece = rows[start : start + CHUNK]
            features.append(await self._features(uow, piece))
            miles.append(await self._miles(uow, piece))
        if progress is not None:
            progress(len(rows), len(rows))
        columns = {name: np.concatenate([part[name] for part in features]) for name in features[0]}
        ages, regions = await self._people(uow, rows)
        frame = frame_of(rows, Known(columns, np.concatenate(miles), claims, ages, regions), self._curve)
        driven = frame.filter(pl.col("exposure_million_miles") > 0)
        if driven.is_empty():
            raise NothingToLearnFrom("Nobody drove a recorded mile under cover in that time.")
        return Dataset(
            frame=driven,
            drivers=driven["driver_number"].n_unique(),
            claims=int(driven["claims"].sum()),
            without_driving=len(frame) - len(driven),
            claims_without_driving=int(claims.sum()) - int(driven["claims"].sum()),
            claims_without_cover=outside,
            withheld=len(withheld),
        )

    async def _allowed(self, uow: UnitOfWork, rows: list[DriverPeriod]) -> tuple[list[DriverPeriod], frozenset[str]]:
        """Return the rows of drivers who allow that models learn from them, and who does not."""
        drivers = sorted({row.driver_id for row in rows})
        withheld: frozenset[str] = frozenset()
        for start in range(0, len(drivers), CHUNK):
            withheld |= await self._consents.withheld(uow, drivers[start : start + CHUNK], Purpose.TRAINING)
        return [row for row in rows if row.driver_id not in withheld], withheld

    async def _rows(self, uow: UnitOfWork, wanted: DatasetRequest) -> list[DriverPeriod]:
        terms = [
            Term(one.driver_id, one.term_start, one.term_end, [(span.from_at, span.to_at) for span in one.in_force])
            for one in await repository_exposure.covers(uow, wanted.since, wanted.until)
        ]
        rows_of = monthly if wanted.period is PeriodKind.MONTH else by_term
        return rows_of(terms, wanted.since, wanted.until)

    async def _features(self, uow: UnitOfWork, rows: Sequence[DriverPeriod]) -> dict[str, Doubles]:
        """Return the features of each row's driver as they were when its period began."""
        places: dict[datetime, list[int]] = {}
        for place, row in enumerate(rows):
            places.setdefault(row.start, []).append(place)
        columns: dict[str, Doubles] = {}
        for start, group in sorted(places.items()):
            drivers = sorted({rows[place].driver_id for place in group})
            totals = await self._trips.totals_of_book(uow, drivers, start - self._window, start)
            line = {driver_id: number for number, driver_id in enumerate(totals.driver_ids)}
            for name, values in extract_all(totals.sums).items():
                column = columns.setdefault(name, np.full(len(rows), np.nan))
                for place in group:
                    if rows[place].driver_id in line:
                        column[place] = values[line[rows[place].driver_id]]
        return columns

    async def _miles(self, uow: UnitOfWork, rows: Sequence[DriverPeriod]) -> Doubles:
        """Return the miles of each row that were driven while there was cover; a trip counts when it begins."""
        spans: dict[Span, list[int]] = {}
        for place, row in enumerate(rows):
            for span in row.insured:
                spans.setdefault(span, []).append(place)
        miles = np.zeros(len(rows))
        for (start, end), group in sorted(spans.items()):
            totals = await self._trips.totals_of_book(uow, sorted({rows[p].driver_id for p in group}), start, end)
            driven = dict(zip(totals.driver_ids, totals.sums["distance_miles"].tolist(), strict=True))
            for place in group:
                miles[place] += driven.get(rows[place].driver_id, 0.0)
        return miles

    async def _people(self, uow: UnitOfWork, rows: Sequence[DriverPeriod]) -> tuple[list[int | None], list[str | None]]:
        """Return age at the period's beginning and state of each row's driver; who was erased has neither."""
        facts: dict[str, DriverFacts] = {}
        drivers = sorted({row.driver_id for row in rows})
        for start in range(0, len(drivers), CHUNK):
            facts |= await self._drivers.facts_many(uow, drivers[start : start + CHUNK])
        known = [facts.get(row.driver_id) for row in rows]
        ages = [
            None if one is None else _age(one.date_of_birth, row.start.date())
            for one, row in zip(known, rows, strict=True)
        ]
        return ages, [None if one is None else one.state for one in known]


def _age(born: date | None, on: date) -> int | None:
    return None if born is None else on.year - born.year - ((on.month, on.day) < (born.month, born.day))
