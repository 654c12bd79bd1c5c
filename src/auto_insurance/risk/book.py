"""Scores a whole book: columns from the trips to the stored scores, in pieces that commit one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec
import numpy as np
import structlog

from auto_insurance.contracts import topics
from auto_insurance.contracts.risk import RISK_SCORE_CALCULATED, RiskScoreCalculated
from auto_insurance.drivers.schemas import DriverFacts
from auto_insurance.infra.db.locks import leading
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.kernel.events import new_event
from auto_insurance.risk import repository, repository_models, repository_runs
from auto_insurance.risk.artefacts import ScoringModel
from auto_insurance.risk.driving import AHEAD, beside
from auto_insurance.risk.errors import RunUnderWay
from auto_insurance.risk.exposure import credibility
from auto_insurance.risk.features import Doubles, extract_all
from auto_insurance.risk.repository_models import ShadowRow
from auto_insurance.risk.repository_runs import BookRun
from auto_insurance.risk.scale import category
from auto_insurance.risk.schemas import ScoreBasis
from auto_insurance.risk.scoring import predict_all
from auto_insurance.risk.service import RiskService
from auto_insurance.trips.schemas import BookTotals

log = structlog.get_logger(__name__)
Progress = Callable[[int, int], None]
"""Called with the drivers done and the drivers there are."""
NOTABLE_POINTS, NOTABLE_SHARE = 0.01, 1e-4
"""A score that moved by less than this is kept, but nobody is told of it."""
NIGHTLY = "nightly"
_encode = msgspec.json.Encoder().encode


class Trips(Protocol):
    """What is needed of the trips service."""

    async def totals_of_book(
        self, uow: UnitOfWork, driver_ids: Sequence[str], since: datetime, until: datetime
    ) -> BookTotals: ...


class Drivers(Protocol):
    """What is needed of the drivers service."""

    async def driver_ids(self, uow: UnitOfWork, *, after: str = "", limit: int = 1000) -> list[str]: ...

    async def count(self, uow: UnitOfWork) -> int: ...

    async def facts_many(self, uow: UnitOfWork, driver_ids: Collection[str]) -> dict[str, DriverFacts]: ...


@dataclass(frozen=True, slots=True)
class BookOptions:
    """``chunk``: drivers per transaction. ``resume_within``: an unfinished run that began longer ago starts anew."""

    chunk: int = 5_000
    resume_within: timedelta = timedelta(hours=24)


class BookScoring:
    """Scores everybody. One run at a time; one that was cut off goes on where its last piece was committed."""

    def __init__(
        self, database: Database, trips: Trips, drivers: Drivers, risk: RiskService, options: BookOptions | None = None
    ) -> None:
        self._database = database
        self._trips = trips
        self._drivers = drivers
        self._risk = risk
        self._options = options or BookOptions()

    async def run(self, reason: str, *, restart: bool = False, progress: Progress | None = None) -> BookRun:
        """Score all drivers as of the run's beginning; returns the finished run.

        Raises ``RunUnderWay`` if another process works on a run.
        """
        async with self._database.begin() as uow:
            total = await self._drivers.count(uow)
            await self._risk.models.refresh(uow)
            version = self._risk.model.version
            found = None if restart else await repository_runs.unfinished(uow, version, self._oldest())
            run = found or await repository_runs.begin(uow, version, reason)
        return await self._work(run, progress and (lambda done: progress(done, max(total, done))))

    async def _work(self, run: BookRun, progress: Callable[[int], None] | None) -> BookRun:
        log.info("book_scoring_began", run_id=str(run.run_id), reason=run.reason, already_scored=run.scored)
        while run.finished_at is None:
            if progress is not None:
                progress(run.scored)
            run = await self._piece(run)
        log.info("book_scored", run_id=str(run.run_id), scored=run.scored, told=run.told)
        if progress is not None:
            progress(run.scored)
        return run

    async def nightly(self, hour: int) -> BookRun | None:
        """Score everybody if today's run is due (from ``hour`` o'clock UTC on) and neither done nor somebody else's.

        A run that was cut off goes on. Returns the finished run, None if there was nothing to do.
        """
        due = clock.now().replace(hour=hour, minute=0, second=0, microsecond=0)
        if clock.now() < due:
            due -= timedelta(days=1)
        async with leading(self._database, "nightly_scoring") as uow:
            if uow is None:
                return None
            await self._risk.models.refresh(uow)
            run = await repository_runs.newest(uow, NIGHTLY)
            if run is None or run.started_at < due:
                run = await repository_runs.begin(uow, self._risk.model.version, NIGHTLY)
            elif run.finished_at is not None or run.model_version != self._risk.model.version:
                return None
        try:
            return await self._work(run, None)
        except RunUnderWay:
            return None

    def _oldest(self) -> datetime:
        return clock.now() - self._options.resume_within

    async def _piece(self, run: BookRun) -> BookRun:
        async with self._database.begin() as uow:
            held = await repository_runs.hold(uow, run.run_id)
            if held is None or held.last_driver_id != run.last_driver_id:
                raise RunUnderWay
            wanted = await self._drivers.driver_ids(uow, after=run.last_driver_id, limit=self._options.chunk)
            if not wanted:
                return await repository_runs.finish(uow, run)
            told = await self.score(uow, wanted, run.reason, run.started_at)
            return await repository_runs.advance(uow, run, wanted[-1], len(wanted), told)

    async def score(self, uow: UnitOfWork, driver_ids: Sequence[str], reason: str, until: datetime) -> int:
        """Score these drivers as of ``until`` and keep the scores; returns how many scores moved and were told of."""
        since = until - timedelta(days=self._risk.window_days)
        totals = await self._trips.totals_of_book(uow, driver_ids, since, until + AHEAD)
        before = await repository.latest_briefly(uow, driver_ids)
        told = 0
        if totals.driver_ids:
            facts = await self._drivers.facts_many(uow, totals.driver_ids)
            rows = list(self._rows(totals, facts, reason, since, until))
            await repository.copy_scores(uow, rows)
            if self._risk.models.challenger is not None:
                await repository_models.put_shadow(uow, _beside(self._risk.models.challenger, totals, rows))
            told = self._tell(uow, rows, before)
        rest = sorted(set(driver_ids) - set(totals.driver_ids))
        # Without trips in the window the score hangs on older ones or is the average: it needs no new row each night.
        new = [driver_id for driver_id in rest if self._is_news(before.get(driver_id))]
        scores = await self._risk.score_drivers(uow, new, reason) if new else []
        return told + len(scores)

    def _is_news(self, before: repository.BriefScore | None) -> bool:
        """Tell whether somebody without recent trips needs a score: the first, or the first without recent trips."""
        return before is None or before.basis == ScoreBasis.RECENT or before.model_version != self._risk.model.version

    def _rows(
        self, totals: BookTotals, facts: Mapping[str, DriverFacts], reason: str, since: datetime, until: datetime
    ) -> Iterator[dict[str, Any]]:
        """Make the rows of ``risk_scores``."""
        loaded, info = self._risk.loaded, self._risk.model
        features: dict[str, Doubles] = extract_all(totals.sums)
        predictions = predict_all(loaded, features)
        miles = totals.sums["distance_miles"]
        driven = miles > 0
        average = loaded.model.average()
        frequencies = np.where(driven, predictions.frequency, average.frequency)
        relativities = np.where(driven, predictions.relativity, average.relativity).tolist()
        scores = loaded.scale.scores(frequencies)
        shown = {
            **features,
            "trips": totals.trip_count.astype(np.float64),
            "observed_days": totals.observed_days,
        }
        values = {name: _or_none(column) for name, column in shown.items()}
        known = [beside(facts.get(driver_id), until.date()) for driver_id in totals.driver_ids]
        values |= {name: [one[name] for one in known] for name in known[0]}
        parts = [
            (name, values[name], loaded.model.typical(name), np.where(driven, effect, 0.0).tolist())
            for name, effect in predictions.effects.items()
        ]
        names, columns = tuple(values), list(values.values())
        for place, driver_id in enumerate(totals.driver_ids):
            yield {
                "score_id": ids.new_uuid(),
                "driver_id": driver_id,
                "calculated_at": until,
                "risk_score": scores[place],
                "risk_category": category(scores[place]),
                "confidence": round(credibility(float(miles[place]), loaded.half_credibility_miles), 4),
                "exposure_miles": float(miles[place]),
                "expected_claims_per_million_miles": float(frequencies[place]),
                "relativity": relativities[place],
                "model_version": info.version,
                "features_version": info.features_version,
                "features": _encode(dict(zip(names, [column[place] for column in columns], strict=True))).decode(),
                "contributions": _encode(
                    [(name, value[place], typical, effect[place]) for name, value, typical, effect in parts]
                ).decode(),
                "trip_count": int(totals.trip_count[place]),
                "window_from": since,
                "window_to": until,
                "trips_until": totals.last_end[place],
                "basis": str(ScoreBasis.RECENT),
                "reason": reason,
                "simulated": info.assumption_based,
            }

    def _tell(
        self, uow: UnitOfWork, rows: Sequence[Mapping[str, Any]], before: Mapping[str, repository.BriefScore]
    ) -> int:
        told = 0
        for row in rows:
            if not moved(row, before.get(row["driver_id"])):
                continue
            told_of = {**row, "may_price": self._risk.models.may_price(simulated=row["simulated"])}
            payload = RiskScoreCalculated(**{name: told_of[name] for name in RiskScoreCalculated.__struct_fields__})
            event = new_event(payload, type=RISK_SCORE_CALCULATED, version=1, key=row["driver_id"])
            uow.publish(topics.RISK_SCORES, event)
            told += 1
        return told


def _beside(challenger: ScoringModel, totals: BookTotals, rows: Sequence[Mapping[str, Any]]) -> list[ShadowRow]:
    """Return what a challenger makes of the drivers that the champion scored."""
    predictions = predict_all(challenger, extract_all(totals.sums))
    driven = totals.sums["distance_miles"] > 0
    frequencies = np.where(driven, predictions.frequency, challenger.model.average().frequency)
    scores = challenger.scale.scores(frequencies)
    return [
        ShadowRow(
            driver_id=row["driver_id"],
            calculated_at=row["calculated_at"],
            champion_version=row["model_version"],
            challenger_version=challenger.model.info.version,
            champion_score=row["risk_score"],
            challenger_score=scores[place],
            champion_frequency=row["expected_claims_per_million_miles"],
            challenger_frequency=float(frequencies[place]),
        )
        for place, row in enumerate(rows)
    ]


def moved(row: Mapping[str, Any], before: repository.BriefScore | None) -> bool:
    """Tell whether a score differs from the one before by what a price could notice."""
    if before is None or before.model_version != row["model_version"]:
        return True
    return bool(
        abs(row["risk_score"] - before.risk_score) >= NOTABLE_POINTS
        or abs(row["confidence"] - before.confidence) >= NOTABLE_SHARE
        or abs(row["relativity"] - before.relativity) >= NOTABLE_SHARE * before.relativity
    )


def _or_none(column: Doubles) -> list[float | None]:
    return [None if value != value else value for value in column.tolist()]  # noqa: PLR0124 - NaN
