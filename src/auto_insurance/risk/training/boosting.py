"""Boosted trees with the Poisson likelihood and exposure as the offset, on coded columns (LightGBM).

The exposure enters through the initial score, ``log(exposure) + log(mean frequency)``: the model is a frequency and
its expectation is proportional to exposure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from auto_insurance.risk.training.arrays import Codes, Floats, Rows
from auto_insurance.risk.training.columns import UNKNOWN, Column
from auto_insurance.risk.training.metrics import poisson_deviance

if TYPE_CHECKING:
    from auto_insurance.risk.training.table import TableData

Pairs = tuple[tuple[int, int], ...]


class BoostSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What tuning chooses. Names are LightGBM's."""

    learning_rate: float
    num_leaves: int
    min_data_in_leaf: int
    feature_fraction: float = 1.0
    bagging_fraction: float = 0.8
    lambda_l2: float = 1.0
    cat_smooth: float = 10.0
    cat_l2: float = 10.0
    min_data_per_group: int = 100
    path_smooth: float = 0.0


@dataclass(frozen=True, slots=True)
class BoostedModel:
    """Frequency of the mean of several boosters' scores."""

    columns: tuple[Column, ...]
    intercept: float
    boosters: tuple[Any, ...]
    threads: int = 1

    @property
    def kind(self) -> str:
        """Form of the model."""
        return "boosted"

    def log_frequency(self, codes: Codes) -> Floats:
        """Return the log frequency of each row. An unknown code counts as the feature's typical bin."""
        typical = np.asarray([column.typical for column in self.columns], dtype=codes.dtype)
        filled = np.where(codes == UNKNOWN, typical[None, :], codes).astype(np.float64)
        total = np.zeros(len(codes))
        for booster in self.boosters:
            total += booster.predict(filled, raw_score=True, num_threads=self.threads)
        return self.intercept + total / max(1, len(self.boosters))

    def shifted(self, by: float) -> BoostedModel:
        """Return the model with every frequency multiplied by ``exp(by)``."""
        return BoostedModel(self.columns, self.intercept + by, self.boosters, self.threads)


class Trainer:
    """Fits boosters on one data set: its bins are laid out once, whatever the rows."""

    def __init__(self, data: TableData, *, threads: int = 1) -> None:
        self.data = data
        self.threads = threads
        self.mean = float(data.claims.sum() / data.exposure.sum())
        self._offset = np.log(data.exposure) + np.log(self.mean)
        categorical = [i for i, column in enumerate(data.columns) if column.kind == "categorical"]
        typical = np.asarray([column.typical for column in data.columns], dtype=np.int32)
        self._x = np.where(data.codes == UNKNOWN, typical[None, :], data.codes).astype(np.float32)
        lgb = _lightgbm()
        self._set = lgb.Dataset(
            self._x,
            data.claims,
            init_score=self._offset,
            feature_name=[f"f{i}" for i in range(len(data.columns))],
            categorical_feature=categorical,
            free_raw_data=False,
            params=self._binning(),
        ).construct()

    def _binning(self) -> dict[str, Any]:
        return {
            "max_bin": max(2, *(column.bins for column in self.data.columns)) + 1,
            "min_data_in_bin": 1,
            "feature_pre_filter": False,
            "num_threads": self.threads,
            "verbose": -1,
            "deterministic": True,
            "force_row_wise": True,
        }

    def fit(
        self,
        rows: Rows,
        settings: BoostSettings,
        rounds: int,
        seed: int,
        *,
        pairs: Pairs | None = None,
        watch: Rows | None = None,
        patience: int = 40,
        tick: Callable[[float], None] = lambda done: None,
    ) -> tuple[Any, list[float]]:
        """Return a booster fitted on ``rows``, and its deviance on ``watch`` after each round (x 100).

        With ``watch`` it stops early when that has not fallen for ``patience`` rounds; ``rounds`` is the most.
        ``pairs`` bounds what may interact. ``tick`` hears the share of the rounds done.
        """
        lgb = _lightgbm()
        part = self._set.subset(np.flatnonzero(rows))
        curve: list[float] = []
        callbacks: list[Any] = [_ticker(rounds, tick)]
        watched: dict[str, Any] = {}
        if watch is not None:
            chosen = np.flatnonzero(watch)
            watched = {"valid_sets": [self._set.subset(chosen)], "valid_names": ["watch"]}
            constant = self._constant(chosen)
            history: dict[str, Any] = {}
            callbacks += [lgb.early_stopping(patience, verbose=False), lgb.record_evaluation(history)]
        booster = lgb.train(self._params(settings, seed, pairs), part, rounds, callbacks=callbacks, **watched)
        if watch is not None:
            curve = [200.0 * value + constant for value in history["watch"]["poisson"]]
        tick(1.0)
        return booster, curve

    def cut(self, booster: Any, rounds: int) -> Any:
        """Return the booster's first rounds as a model of its own, without its training data."""
        text = booster.model_to_string(num_iteration=rounds)
        return _lightgbm().Booster(model_str=text)

    def _constant(self, rows: NDArray[np.intp]) -> float:
        """Return what turns LightGBM's metric, mean of ``mu - y log mu``, into the mean deviance x 100."""
        y = self.data.claims[rows]
        positive = np.where(y > 0, y, 1.0)
        return 200.0 * float((y * np.log(positive) - y).mean())

    def _params(self, settings: BoostSettings, seed: int, pairs: Pairs | None) -> dict[str, Any]:
        params = {
            **self._binning(),
            **msgspec.to_builtins(settings),
            "objective": "poisson",
            "metric": "poisson",
            "bagging_freq": 1,
            "seed": seed,
        }
        monotone = [column.monotone for column in self.data.columns]
        if any(monotone):
            params |= {"monotone_constraints": monotone, "monotone_constraints_method": "basic"}
        if pairs is not None:
            # A feature of some pair may stand alone as well; named alone, it would shut its pairs out below it.
            paired = {feature for pair in pairs for feature in pair}
            alone = [[i] for i in range(len(self.data.columns)) if i not in paired]
            params["interaction_constraints"] = [list(pair) for pair in pairs] + alone
        return params

    def score(self, boosters: Sequence[Any], rows: Rows) -> Floats:
        """Return the expected claims of the rows, of the mean of the boosters' scores."""
        x = self._x[rows].astype(np.float64)
        total = sum(b.predict(x, raw_score=True, num_threads=self.threads) for b in boosters) / len(boosters)
        expected: Floats = np.exp(total + self._offset[rows])
        return expected

    def deviance(self, boosters: Sequence[Any], rows: Rows) -> float:
        """Return the mean deviance x 100 of the rows."""
        return 100.0 * poisson_deviance(self.data.claims[rows], self.score(boosters, rows))

    def model(self, boosters: Sequence[Any]) -> BoostedModel:
        """Return the frequency model of the mean of the boosters."""
        return BoostedModel(self.data.columns, float(np.log(self.mean)), tuple(boosters), self.threads)


def best_round(curve: Sequence[float]) -> int:
    """Return the number of rounds at which a curve of deviances is lowest."""
    return int(np.argmin(curve)) + 1


def _ticker(rounds: int, tick: Callable[[float], None]) -> Callable[[Any], None]:
    def heard(env: Any) -> None:
        if env.iteration % 10 == 0:
            tick(env.iteration / rounds)

    return heard


def _lightgbm() -> Any:
    import lightgbm  # noqa: PLC0415 - takes a second to load

    return lightgbm
