"""Chooses settings with a fixed budget, on contracts held out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from auto_insurance.risk.training.arrays import Rows
from auto_insurance.risk.training.boosting import BoostSettings, Pairs, Trainer, best_round
from auto_insurance.risk.training.candidates import chosen_pairs
from auto_insurance.risk.training.collapse import collapse
from auto_insurance.risk.training.columns import Column
from auto_insurance.risk.training.evaluate import Told
from auto_insurance.risk.training.tables import importance, purify

_FREE = BoostSettings(learning_rate=0.05, num_leaves=63, min_data_in_leaf=100, feature_fraction=0.7, cat_smooth=200.0)
_PAIRS = BoostSettings(learning_rate=0.1, num_leaves=31, min_data_in_leaf=200, feature_fraction=0.5, cat_smooth=200.0)
FREE_GRID: tuple[BoostSettings, ...] = (_FREE, msgspec.structs.replace(_FREE, feature_fraction=0.5))
PAIRS_GRID: tuple[BoostSettings, ...] = (_PAIRS, msgspec.structs.replace(_PAIRS, cat_smooth=500.0))
PAIR_SHARES: tuple[float, ...] = (0.90, 0.97)
"""Shares of what all pair tables tell apart that fewer pairs are tried with, beside all pairs."""
WORTH_IT = 0.02
"""Deviance x 100 that more pairs must save, or the fewer stay: they are what a person reads."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One setting and what it came to on the held-out contracts."""

    settings: BoostSettings
    pairs: Pairs | None
    deviance_x100: float
    rounds: int

    def row(self) -> dict[str, Any]:
        """Return it for a report."""
        count = None if self.pairs is None else len(self.pairs)
        return {
            **msgspec.to_builtins(self.settings),
            "pairs": count,
            "deviance_x100": self.deviance_x100,
            "rounds": self.rounds,
        }


class Tuner:
    """Tries settings on one split by contract."""

    def __init__(self, trainer: Trainer, train: Rows, test: Rows, rounds: int, seed: int, told: Told) -> None:
        self._trainer = trainer
        self._train = train
        self._test = test
        self._rounds = rounds
        self._seed = seed
        self._told = told
        self.tried: list[Tried] = []

    def free(self, grid: Sequence[BoostSettings]) -> BoostSettings:
        """Return the best setting for free boosting."""
        return min((self._try(settings, None)[0] for settings in grid), key=lambda tried: tried.deviance_x100).settings

    def explainable(self, grid: Sequence[BoostSettings], shares: Sequence[float]) -> tuple[BoostSettings, Pairs]:
        """Return the best setting for pairs, and which pairs to keep."""
        every = sensible_pairs(self._trainer.data.columns)
        runs = [self._try(settings, every) for settings in grid]
        best, booster = min(runs, key=lambda run: run[0].deviance_x100)
        fewer = [pairs for pairs in self._fewer(booster, shares) if 0 < len(pairs) < len(every)]
        options = [best, *(self._try(best.settings, pairs)[0] for pairs in fewer)]
        enough = min(option.deviance_x100 for option in options) + WORTH_IT
        kept = min((o for o in options if o.deviance_x100 <= enough), key=lambda o: len(o.pairs or ()))
        return best.settings, kept.pairs or ()

    def _fewer(self, booster: Any, shares: Sequence[float]) -> list[Pairs]:
        data = self._trainer.data
        codes, exposure = data.codes[self._train], data.exposure[self._train]
        tables = purify(collapse([booster], data.columns, float(np.log(self._trainer.mean))))
        worth = importance(tables, codes, exposure).tolist()
        return list(dict.fromkeys(chosen_pairs(tables, worth, share) for share in shares))

    def _try(self, settings: BoostSettings, pairs: Pairs | None) -> tuple[Tried, Any]:
        what = f"tuning: setting {len(self.tried) + 1}"
        booster, curve = self._trainer.fit(
            self._train,
            settings,
            self._rounds,
            self._seed,
            pairs=pairs,
            watch=self._test,
            tick=lambda done: self._told(what, done),
        )
        rounds = best_round(curve)
        tried = Tried(settings, pairs, min(curve), rounds)
        self.tried.append(tried)
        return tried, self._trainer.cut(booster, rounds)


def sensible_pairs(columns: Sequence[Column]) -> Pairs:
    """Return all pairs of features that share no column: one with its own part says nothing more."""
    places = range(len(columns))
    return tuple((a, b) for a in places for b in places if a < b and not {*columns[a].sources} & {*columns[b].sources})
