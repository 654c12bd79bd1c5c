"""Use cases of the risk domain; the only writer of its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from auto_insurance.contracts import topics
from auto_insurance.contracts.risk import RISK_SCORE_CALCULATED, RiskScoreCalculated
from auto_insurance.drivers.schemas import DriverFacts, Purpose
from auto_insurance.drivers.service import ConsentService
from auto_insurance.infra import tracing
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.events import new_event
from auto_insurance.risk import driving, repository
from auto_insurance.risk.artefacts import ScoringModel
from auto_insurance.risk.driving import DrivingReader
from auto_insurance.risk.explain import without_advice
from auto_insurance.risk.exposure import credibility
from auto_insurance.risk.features import driver_features
from auto_insurance.risk.model import ModelInfo
from auto_insurance.risk.predictor import Predictor
from auto_insurance.risk.registry import ModelRegistry
from auto_insurance.risk.schemas import Judgement, RiskScore, TripScore
from auto_insurance.risk.scoring import score_all, score_trip
from auto_insurance.risk.shadow import shadow
from auto_insurance.risk.vectors import Vectors, encode
from auto_insurance.trips.schemas import TripFacts, TripTotals

MIN_OBSERVED_DAYS = 30.0
"""Fewer days of driving are not made into a year."""
DAYS_PER_YEAR = 365.25


class TripReader(driving.TripReader, Protocol):
    """What scoring needs of the trips service."""

    async def get(self, uow: UnitOfWork, trip_id: UUID) -> TripFacts | None: ...


class DriverReader(driving.FactsReader, Protocol):
    """What scoring needs of the drivers service. ``facts`` raises an error of kind not_found."""

    async def facts(self, uow: UnitOfWork, driver_id: str) -> DriverFacts: ...


@dataclass(frozen=True, slots=True)
class RiskOptions:
    """``window_days``: how far back driving counts."""

    window_days: int = 365


class RiskService:
    """Scores drivers and trips and keeps every score."""

    def __init__(
        self,
        trips: TripReader,
        drivers: DriverReader,
        models: ModelRegistry | None = None,
        options: RiskOptions | None = None,
        predictor: Predictor | None = None,
        vectors: Vectors | None = None,
    ) -> None:
        self._trips = trips
        self._drivers = drivers
        self._models = models or ModelRegistry()
        self._predictor = predictor or Predictor()
        self._options = options or RiskOptions()
        self._consents = ConsentService()
        self._driving = DrivingReader(trips, drivers, timedelta(days=self._options.window_days), vectors)

    @property
    def model(self) -> ModelInfo:
        """The model in use."""
        return self.loaded.model.info

    @property
    def loaded(self) -> ScoringModel:
        """The model in use with all that is needed to score with it."""
        return self._models.champion

    @property
    def models(self) -> ModelRegistry:
        """Which model is in use, and why."""
        return self._models

    @property
    def window_days(self) -> int:
        """How far back driving counts."""
        return self._options.window_days

    @property
    def base_frequency(self) -> float:
        """Claims per million miles of a driver with typical values, to which contributions are relative."""
        return self.loaded.model.base_frequency

    def typical(self, feature: str) -> float | None:
        """Return the reference mean of a scored feature, None for one that is not scored."""
        return self.loaded.model.typical(feature)

    async def score_driver(self, uow: UnitOfWork, driver_id: str, reason: str) -> RiskScore:
        """Score a driver now, store the score, tell of it. Without trips it is the portfolio's mean."""
        return (await self.score_drivers(uow, [driver_id], reason))[0]

    async def score_drivers(self, uow: UnitOfWork, driver_ids: Sequence[str], reason: str) -> list[RiskScore]:
        """Score several drivers with one call of the model; scores in the order of ``driver_ids``."""
        await self._models.refresh(uow)
        driving = await self._driving.of(uow, driver_ids)
        scores = await score_all(self._predictor, self.loaded, driving, reason)
        await repository.add_scores(uow, scores)
        if self._models.challenger is not None:
            challenged = await score_all(self._predictor, self._models.challenger, driving, reason)
            await shadow(uow, scores, challenged)
        for score in scores:
            news = new_event(self._announcement(score), type=RISK_SCORE_CALCULATED, version=1, key=score.driver_id)
            with tracing.of(score.driver_id):
                uow.publish(topics.RISK_SCORES, news)
        return scores

    async def preview(self, uow: UnitOfWork, driver_ids: Sequence[str], reason: str, days: int) -> list[RiskScore]:
        """Score several drivers by their last ``days`` of driving; nothing is stored."""
        return await score_all(self._predictor, self.loaded, await self._driving.of(uow, driver_ids, days), reason)

    async def vectors(self, uow: UnitOfWork, driver_ids: Sequence[str]) -> dict[str, bytes]:
        """Return drivers' latest feature vectors as they are kept, in a number of statements that does not grow."""
        return {d: encode(vector) for d, vector in (await self._driving.vectors(uow, driver_ids)).items()}

    async def latest(self, uow: UnitOfWork, driver_id: str) -> RiskScore | None:
        """Return the driver's newest score, None before the first."""
        return (await repository.latest_scores(uow, [driver_id])).get(driver_id)

    async def advised(self, uow: UnitOfWork, score: RiskScore) -> RiskScore:
        """Return a score with its advice, or without any where the driver does not allow to be coached."""
        if await self._consents.allowed(uow, score.driver_id, Purpose.COACHING):
            return score
        return without_advice(score)

    async def latest_many(self, uow: UnitOfWork, driver_ids: Sequence[str]) -> dict[str, RiskScore]:
        """Return the newest scores of those drivers that have one; one statement."""
        return await repository.latest_scores(uow, driver_ids)

    async def get(self, uow: UnitOfWork, score_id: UUID) -> RiskScore | None:
        """Return a stored score, None if there is none."""
        return await repository.get_score(uow, score_id)

    async def forget(self, uow: UnitOfWork, score_ids: Sequence[UUID]) -> int:
        """Delete scores that nobody needs any more; returns how many."""
        return await repository.forget_scores(uow, score_ids)

    async def judge(
        self, uow: UnitOfWork, model_version: str, features: Mapping[str, float | None], miles: float
    ) -> Judgement:
        """Return what a model, of today or of before, says of features over ``miles``. Nothing is stored.

        Raises ``InvalidArtefact`` if the model can't be loaded any more, ``InvalidFeatures`` for values that can't be.
        """
        loaded = await self._models.version(uow, model_version)
        prediction = loaded.model.predict([features])[0] if miles > 0 else loaded.model.average()
        confidence = round(credibility(miles, loaded.half_credibility_miles), 4)
        return Judgement(relativity=prediction.relativity, confidence=confidence)

    def relativity_at(self, risk_score: float) -> float:
        """Return the claim frequency of a risk score (0-100) over the portfolio's mean, by the model in use."""
        return self.loaded.scale.frequency(risk_score) / self.loaded.model.portfolio_frequency

    @staticmethod
    def features_of(totals: TripTotals) -> dict[str, float | None]:
        """Return the features of a driver's trips, as every score is made of them."""
        return driver_features(totals)

    async def latest_or_first(self, uow: UnitOfWork, driver_id: str) -> RiskScore:
        """Return the driver's newest score; the first time somebody asks, make one."""
        found = await self.latest(uow, driver_id)
        return found if found is not None else await self.recalculate(uow, driver_id, "first_score")

    async def recalculate(self, uow: UnitOfWork, driver_id: str, reason: str) -> RiskScore:
        """Score a driver that somebody names; an unknown one is an error of kind not_found."""
        await self._drivers.facts(uow, driver_id)
        return await self.score_driver(uow, driver_id, reason)

    async def history(self, uow: UnitOfWork, driver_id: str, days: int, limit: int = 1000) -> list[RiskScore]:
        """Return the scores of the last ``days``, the newest first, at most 1000."""
        return await repository.scores_since(uow, driver_id, clock.now() - timedelta(days=days), limit)

    async def score_trip(self, uow: UnitOfWork, trip_id: UUID) -> TripScore | None:
        """Score a trip as it is now; a trip that is gone, open or withdrawn loses its score."""
        score = await self.trip_score_now(uow, trip_id)
        if score is None:
            await repository.remove_trip_score(uow, trip_id)
        else:
            await repository.put_trip_score(uow, score)
        return score

    async def trip_score_now(self, uow: UnitOfWork, trip_id: UUID) -> TripScore | None:
        """Return the score of a trip as it is now, None for one that is gone, open or withdrawn. Nothing is stored."""
        trip = await self._trips.get(uow, trip_id)
        if trip is None or trip.status != "completed":
            return None
        await self._models.refresh(uow)
        return score_trip(self.loaded, trip)

    async def trip_score(self, uow: UnitOfWork, trip_id: UUID) -> TripScore | None:
        """Return a trip's stored score."""
        return await repository.get_trip_score(uow, trip_id)

    async def with_and_without(
        self, uow: UnitOfWork, driver_id: str, trip_id: UUID
    ) -> tuple[RiskScore, RiskScore] | None:
        """Return the driver's score now and as it would be without one trip; None if the trip does not count.

        Nothing is stored.
        """
        trip = await self._trips.get(uow, trip_id)
        if trip is None or trip.status != "completed" or trip.driver_id != driver_id:
            return None
        [driving] = await self._driving.of(uow, [driver_id])
        if not driving.window_from <= trip.start_time < driving.window_to:
            return None
        now, without = await score_all(self._predictor, self.loaded, [driving, driving.without(trip)], "what_if")
        return now, without

    def expected_claims_per_year(self, score: RiskScore) -> float | None:
        """Return claims expected of a year like the observed one, None under 30 days of driving."""
        days = score.features.get("observed_days") or 0.0
        if days < MIN_OBSERVED_DAYS:
            return None
        yearly = score.exposure_miles * DAYS_PER_YEAR / days
        return self.loaded.exposure.claims_per_year(score.expected_claims_per_million_miles, yearly)

    def _announcement(self, score: RiskScore) -> RiskScoreCalculated:
        return RiskScoreCalculated(
            score_id=score.score_id,
            driver_id=score.driver_id,
            risk_score=score.risk_score,
            risk_category=score.risk_category,
            confidence=score.confidence,
            exposure_miles=score.exposure_miles,
            expected_claims_per_million_miles=score.expected_claims_per_million_miles,
            relativity=score.relativity,
            model_version=score.model_version,
            calculated_at=score.calculated_at,
            reason=score.reason,
            simulated=score.simulated,
            may_price=self._models.may_price(simulated=score.simulated),
        )
