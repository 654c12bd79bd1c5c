from __future__ import annotations

import asyncio

import pytest

from auto_insurance.infra import metrics
from auto_insurance.risk.artefacts import load
from auto_insurance.risk.errors import InvalidFeatures
from auto_insurance.risk.features import BEHAVIOUR
from auto_insurance.risk.predictor import Predictor, PredictorOptions

MODEL = load().model


def row(night: float) -> dict[str, float | None]:
    return {**{feature.name: None for feature in BEHAVIOUR}, "night_share": night, "exposure_miles": 100.0 * night}


def hits() -> float:
    return metrics.ML_PREDICTION_CACHE_HITS_TOTAL._value.get()  # type: ignore[no-any-return]


@pytest.mark.parametrize("micro_batching", [False, True])
async def test_predictions_are_the_models_own(micro_batching: bool) -> None:
    predictor = Predictor(PredictorOptions(micro_batching=micro_batching))
    rows = [row(0.1), row(0.2), row(0.1)]
    assert await predictor.predict(MODEL, rows) == MODEL.predict(rows)
    singles = await asyncio.gather(*(predictor.predict(MODEL, [row(night / 100)]) for night in range(40)))
    assert [single for [single] in singles] == MODEL.predict([row(night / 100) for night in range(40)])


async def test_what_is_known_is_not_asked_again_and_context_does_not_matter() -> None:
    predictor = Predictor()
    before = hits()
    first = await predictor.predict(MODEL, [row(0.3)])
    again = await predictor.predict(MODEL, [{**row(0.3), "exposure_miles": 9_999.0}])
    assert again == first
    assert hits() == before + 1


async def test_the_least_used_is_forgotten() -> None:
    predictor = Predictor(PredictorOptions(remembered=2))
    for night in (0.1, 0.2, 0.3):
        await predictor.predict(MODEL, [row(night)])
    before = hits()
    await predictor.predict(MODEL, [row(0.1)])
    assert hits() == before


@pytest.mark.parametrize("micro_batching", [False, True])
async def test_impossible_values_are_named_and_not_remembered(micro_batching: bool) -> None:
    predictor = Predictor(PredictorOptions(micro_batching=micro_batching))
    for _ in range(2):
        with pytest.raises(InvalidFeatures) as caught:
            await predictor.predict(MODEL, [row(1.5)])
        assert caught.value.errors[0].field == "night_share"
