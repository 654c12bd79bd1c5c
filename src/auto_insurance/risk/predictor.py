"""Calls the model for online requests: remembers predictions, and may put requests together into one call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from cachetools import LRUCache

from auto_insurance.infra import metrics
from auto_insurance.risk.features import FeatureValues
from auto_insurance.risk.microbatch import BatchOptions, MicroBatcher
from auto_insurance.risk.model import Prediction, RiskModel

_Key = tuple[str, tuple[float | None, ...]]


@dataclass(frozen=True, slots=True)
class PredictorOptions:
    """``micro_batching``: see ADR 0016 for when it pays. ``remembered``: predictions kept, the least used go first."""

    micro_batching: bool = False
    batch: BatchOptions = field(default_factory=BatchOptions)
    remembered: int = 10_000


class Predictor:
    """One per process. A prediction is known by the model's version and the features that it scores."""

    def __init__(self, options: PredictorOptions | None = None) -> None:
        self._options = options or PredictorOptions()
        self._known: LRUCache[_Key, Prediction] = LRUCache(self._options.remembered)
        self._batcher: MicroBatcher[tuple[RiskModel, FeatureValues], Prediction] = MicroBatcher(
            _grouped, self._options.batch
        )

    async def predict(self, model: RiskModel, rows: Sequence[FeatureValues]) -> list[Prediction]:
        """Return one prediction per row, in order. Raises ``InvalidFeatures`` and ``Overloaded``."""
        keys = [_key(model, row) for row in rows]
        found = [self._known.get(key) for key in keys]
        missing = [place for place, prediction in enumerate(found) if prediction is None]
        if len(missing) < len(rows):
            metrics.ML_PREDICTION_CACHE_HITS_TOTAL.inc(len(rows) - len(missing))
        if missing:
            for place, made in zip(missing, await self._made(model, [rows[place] for place in missing]), strict=True):
                found[place] = self._known[keys[place]] = made
        return [prediction for prediction in found if prediction is not None]

    async def _made(self, model: RiskModel, rows: Sequence[FeatureValues]) -> Sequence[Prediction]:
        if self._options.micro_batching and len(rows) == 1:
            return [await self._batcher.submit((model, rows[0]))]
        return _measured(model, rows)


def _key(model: RiskModel, row: FeatureValues) -> _Key:
    return model.info.version, tuple(row.get(name) for name in model.scored)


def _grouped(wanted: Sequence[tuple[RiskModel, FeatureValues]]) -> list[Prediction]:
    """Predict for several models, with one call of each."""
    places: dict[int, list[int]] = {}
    for place, (model, _) in enumerate(wanted):
        places.setdefault(id(model), []).append(place)
    found: dict[int, Prediction] = {}
    for group in places.values():
        made = _measured(wanted[group[0]][0], [wanted[place][1] for place in group])
        found |= zip(group, made, strict=True)
    return [found[place] for place in range(len(wanted))]


def _measured(model: RiskModel, rows: Sequence[FeatureValues]) -> Sequence[Prediction]:
    started = time.perf_counter()
    predictions = model.predict(rows)
    measure(model.info.kind, len(rows), started)
    return predictions


def measure(kind: str, rows: int, started: float) -> None:
    """Count one call of a model that began at ``started`` of ``time.perf_counter``."""
    metrics.ML_INFERENCE_DURATION_SECONDS.labels(kind).observe(time.perf_counter() - started)
    metrics.ML_BATCH_SIZE.labels(kind).observe(rows)
