"""Watches whether the book still looks like what the model learned from, and whether claims come as it expects.

Measured after each nightly run over the book, on the newest scores: features and predicted frequency against the
model's training portfolio (population stability index), claims against the expectation where there is cover.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import structlog

from auto_insurance.infra import metrics
from auto_insurance.infra.db.locks import leading
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.risk import repository_drift, repository_exposure, repository_runs
from auto_insurance.risk.artefacts import ScoringModel
from auto_insurance.risk.book import NIGHTLY
from auto_insurance.risk.features import BEHAVIOUR, Doubles
from auto_insurance.risk.insured import DAYS_PER_YEAR, DriverPeriod, Term, count_claims, cover_of
from auto_insurance.risk.repository_drift import DriftNight, LatestDriving
from auto_insurance.risk.repository_runs import BookRun
from auto_insurance.risk.schemas import ScoreBasis
from auto_insurance.risk.service import RiskService

log = structlog.get_logger(__name__)
FEATURES = tuple(feature.name for feature in BEHAVIOUR)
"""The closed set of the metric's label."""
LEAST_DRIVERS = 100
"""Fewer drivers make an index of chance."""


class Drivers(Protocol):
    """What is needed of the drivers service."""

    async def driver_ids(self, uow: UnitOfWork, *, after: str = "", limit: int = 1000) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """``chunk``: drivers read at once. ``claims_over``: time over which claims are compared with the expectation."""

    chunk: int = 5_000
    claims_over: timedelta = timedelta(days=365)
    least_drivers: int = LEAST_DRIVERS


@dataclass(frozen=True, slots=True)
class BookNow:
    """Drivers with a current score of one model, in columns: a whole book of objects would not fit."""

    driver_ids: list[str]
    miles: Doubles
    frequency: Doubles
    values: Mapping[str, Doubles]


@dataclass(frozen=True, slots=True)
class Claims:
    """Observed claims beside those that the model expects of the same drivers, miles and insured time."""

    insured_years: float = 0.0
    actual: int = 0
    expected: float = 0.0


class DriftWatch:
    """Measures once per nightly run, keeps what it found, and shows the newest as metrics."""

    def __init__(
        self, database: Database, drivers: Drivers, risk: RiskService, options: DriftOptions | None = None
    ) -> None:
        self._database = database
        self._drivers = drivers
        self._risk = risk
        self._options = options or DriftOptions()

    async def nightly(self) -> DriftNight | None:
        """Measure the last finished nightly run, unless that was done; show the newest measurement. For one leader."""
        async with leading(self._database, "drift") as uow:
            if uow is None:
                return None
            run = await repository_runs.newest(uow, NIGHTLY)
            made = None
            if run is not None and run.finished_at is not None and not await self._is_measured(uow, run):
                made = await self.measure(uow, run)
                await repository_drift.add_night(uow, made)
            known = [made] if made else await repository_drift.nights(uow, 1)
            show(known[0] if known else None)
            return made

    async def measure(self, uow: UnitOfWork, run: BookRun) -> DriftNight:
        """Return how far the book is from the champion's training portfolio now."""
        await self._risk.models.refresh(uow)
        loaded = self._risk.loaded
        version = loaded.model.info.version
        book = await self._book(uow, version)
        now = clock.now()
        features, score = self._moved(loaded, book)
        claims = await self._claims(uow, loaded, book, now)
        night = DriftNight(
            run_id=run.run_id,
            measured_at=now,
            model_version=version,
            drivers=len(book.driver_ids),
            score_drift=score,
            feature_drift=features,
            insured_years=round(claims.insured_years, 3),
            actual_claims=claims.actual,
            expected_claims=round(claims.expected, 3),
        )
        log.info("drift_measured", drivers=night.drivers, score_drift=score, actual=claims.actual)
        return night

    async def _is_measured(self, uow: UnitOfWork, run: BookRun) -> bool:
        return await repository_drift.is_measured(uow, run.run_id)

    async def nights(self, uow: UnitOfWork, limit: int) -> list[DriftNight]:
        """Return the last measurements, newest first."""
        return await repository_drift.nights(uow, limit)

    async def _book(self, uow: UnitOfWork, version: str) -> BookNow:
        pieces: list[BookNow] = []
        after = ""
        while ids := await self._drivers.driver_ids(uow, after=after, limit=self._options.chunk):
            pieces.append(columns_of(await repository_drift.latest_driving(uow, ids), version))
            after = ids[-1]
        return BookNow(
            [driver_id for piece in pieces for driver_id in piece.driver_ids],
            _joined([piece.miles for piece in pieces]),
            _joined([piece.frequency for piece in pieces]),
            {name: _joined([piece.values[name] for piece in pieces]) for name in FEATURES},
        )

    def _moved(self, loaded: ScoringModel, book: BookNow) -> tuple[dict[str, float | None], float | None]:
        if len(book.driver_ids) < self._options.least_drivers:
            return dict.fromkeys(FEATURES), None
        from auto_insurance.risk.training.drift import score_drift  # noqa: PLC0415 - loads what only this needs

        score = round(score_drift(loaded.scale.quantiles, book.frequency, book.miles), 4)
        return feature_drifts(loaded, book.values, book.miles), score

    async def _claims(self, uow: UnitOfWork, loaded: ScoringModel, book: BookNow, now: datetime) -> Claims:
        """Compare claims with the expectation, for drivers with cover and a current score."""
        since = now - self._options.claims_over
        terms = [
            Term(one.driver_id, one.term_start, one.term_end, [(span.from_at, span.to_at) for span in one.in_force])
            for one in await repository_exposure.covers(uow, since, now)
        ]
        cover = cover_of(terms, since, now)
        insured = [
            (place, DriverPeriod(driver_id, since, now, cover[driver_id]))
            for place, driver_id in enumerate(book.driver_ids)
            if driver_id in cover
        ]
        found = await repository_exposure.claims(uow, since, now, now)
        counts, _ = count_claims([one for _, one in insured], [(c.driver_id, c.occurred_at) for c in found])
        window_years = self._risk.window_days / DAYS_PER_YEAR
        expected = sum(
            one.years
            * loaded.exposure.claims_per_year(float(book.frequency[place]), float(book.miles[place]) / window_years)
            for place, one in insured
        )
        return Claims(sum(one.years for _, one in insured), int(counts.sum()), expected)


def columns_of(rows: Sequence[LatestDriving], version: str) -> BookNow:
    """Return the rows that a model scored by recent driving, in columns; NaN where nothing was observed."""
    wanted = [r for r in rows if r.basis == ScoreBasis.RECENT and r.miles > 0 and r.model_version == version]
    return BookNow(
        [row.driver_id for row in wanted],
        np.array([row.miles for row in wanted], np.float64),
        np.array([row.frequency for row in wanted], np.float64),
        {
            name: np.array([np.nan if (v := row.features.get(name)) is None else v for row in wanted], np.float64)
            for name in FEATURES
        },
    )


def feature_drifts(loaded: ScoringModel, values: Mapping[str, Doubles], miles: Doubles) -> dict[str, float | None]:
    """Return the index of each behaviour feature against the training portfolio, weighted by miles.

    None for what the model was not trained on, or what nobody shows: a scorecard knows no training portfolio.
    """
    from auto_insurance.risk.tables_model import TablesModel  # noqa: PLC0415 - loads what only trained models need
    from auto_insurance.risk.training.columns import numeric_codes  # noqa: PLC0415
    from auto_insurance.risk.training.drift import feature_drift  # noqa: PLC0415

    columns = {column.name: column for column in loaded.model.columns} if isinstance(loaded.model, TablesModel) else {}
    found: dict[str, float | None] = {}
    for name, column_values in values.items():
        column = columns.get(name)
        if column is None or not np.isfinite(column_values).any():
            found[name] = None
            continue
        codes = numeric_codes(column_values, column.edges)
        found[name] = round(feature_drift(column, codes, miles), 4)
    return found


def show(night: DriftNight | None) -> None:
    """Set the metrics to a measurement; what is not known is NaN, as 0 would say that nothing moved."""
    features = {} if night is None else night.feature_drift
    for name in FEATURES:
        metrics.ML_FEATURE_DRIFT.labels(name).set(_or_nan(features.get(name)))
    metrics.ML_SCORE_DRIFT.set(_or_nan(None if night is None else night.score_drift))
    ratio = night.actual_claims / night.expected_claims if night and night.expected_claims > 0 else np.nan
    metrics.ML_ACTUAL_TO_EXPECTED.set(ratio)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _joined(parts: Sequence[Doubles]) -> Doubles:
    return np.concatenate(parts) if parts else np.empty(0)
