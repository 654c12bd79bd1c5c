"""From trips to scores: calls the model, measures it, and puts the result in words."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from auto_insurance.infra import metrics
from auto_insurance.kernel import clock, ids
from auto_insurance.risk import artefacts
from auto_insurance.risk.artefacts import ScoringModel
from auto_insurance.risk.driving import Driving
from auto_insurance.risk.explain import reasons
from auto_insurance.risk.exposure import credibility
from auto_insurance.risk.features import Doubles, FeatureValues, extract
from auto_insurance.risk.model import Prediction, Predictions
from auto_insurance.risk.predictor import Predictor, measure
from auto_insurance.risk.scale import category
from auto_insurance.risk.schemas import RiskScore, TripScore
from auto_insurance.risk.trip_score import judge_trip
from auto_insurance.trips.schemas import TripFacts


def load_model(name: str = artefacts.DEFAULT_MODEL) -> ScoringModel:
    """Load a shipped model and record how long it took. Raises ``InvalidArtefact``."""
    started = time.perf_counter()
    if name in artefacts.TRAINED:
        from auto_insurance.risk.packages import load_shipped  # noqa: PLC0415 - loads what only trained models need

        loaded = load_shipped(name)
    else:
        loaded = artefacts.load(name)
    metrics.ML_MODEL_LOAD_SECONDS.set(time.perf_counter() - started)
    return loaded


async def score_all(
    predictor: Predictor, loaded: ScoringModel, drivers: Sequence[Driving], reason: str
) -> list[RiskScore]:
    """Return a score per driver with one call of the model; without miles it is the portfolio's mean."""
    rows = [one.features for one in drivers]
    predictions = await predictor.predict(loaded.model, rows)
    now = clock.now()
    return [
        _score(
            loaded,
            driving,
            row,
            prediction if driving.totals.distance_miles > 0 else loaded.model.average(),
            now,
            reason,
        )
        for driving, row, prediction in zip(drivers, rows, predictions, strict=True)
    ]


def predict_all(loaded: ScoringModel, features: Mapping[str, Doubles]) -> Predictions:
    """Return the predictions for columns of features, with one call of the model. Raises ``InvalidFeatures``."""
    started = time.perf_counter()
    predictions = loaded.model.predict_all(features)
    measure(loaded.model.info.kind, len(predictions.frequency), started)
    return predictions


def score_trip(loaded: ScoringModel, trip: TripFacts) -> TripScore:
    """Return the score of one trip, 100 best."""
    started = time.perf_counter()
    verdict = judge_trip(loaded.model, extract(trip), trip.distance_miles)
    measure(loaded.model.info.kind, 1, started)
    return TripScore(
        trip_id=trip.trip_id,
        driver_id=trip.driver_id,
        trip_score=verdict.trip_score,
        risk_level=verdict.risk_level,
        relativity=verdict.relativity,
        contributions=reasons(verdict.contributions),
        model_version=loaded.model.info.version,
        revision=trip.revision,
        scored_at=clock.now(),
        simulated=loaded.model.info.assumption_based,
    )


def _score(
    loaded: ScoringModel,
    driving: Driving,
    features: FeatureValues,
    prediction: Prediction,
    now: datetime,
    reason: str,
) -> RiskScore:
    totals, info = driving.totals, loaded.model.info
    risk_score = loaded.scale.score(prediction.frequency)
    return RiskScore(
        score_id=ids.new_uuid(),
        driver_id=totals.driver_id,
        calculated_at=now,
        risk_score=risk_score,
        risk_category=category(risk_score),
        confidence=round(credibility(totals.distance_miles, loaded.half_credibility_miles), 4),
        exposure_miles=totals.distance_miles,
        expected_claims_per_million_miles=prediction.frequency,
        relativity=prediction.relativity,
        model_version=info.version,
        features_version=info.features_version,
        features=dict(features),
        contributions=reasons(prediction.contributions),
        trip_count=totals.trip_count,
        window_from=driving.window_from,
        window_to=driving.window_to,
        trips_until=totals.last_end,
        basis=driving.basis,
        reason=reason,
        simulated=info.assumption_based,
    )
