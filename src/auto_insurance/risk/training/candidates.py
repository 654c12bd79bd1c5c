"""What competes: the mean, the GLM, free boosting, and boosting that collapses to tables. One way to fit each.

Every booster of a bag stops on contracts of its own that it was not fitted on, a tenth of those it was given. The
same procedure runs inside each fold of a cross-validation and on all rows at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np

from auto_insurance.risk.training.arrays import Rows
from auto_insurance.risk.training.boosting import BoostedModel, BoostSettings, Pairs, Trainer, best_round
from auto_insurance.risk.training.collapse import collapse
from auto_insurance.risk.training.folds import grouped_folds
from auto_insurance.risk.training.glm import fit_glm, intercept_only
from auto_insurance.risk.training.spec import GlmTerm
from auto_insurance.risk.training.table import TableData
from auto_insurance.risk.training.tables import TableModel, purify

Model = TableModel | BoostedModel
Tick = Callable[[float], None]
WATCH_FOLDS = 10
"""One in so many contracts decides when a booster stops."""


def silent(done: float) -> None:
    """Hear of progress and say nothing."""


class Candidate(Protocol):
    """A way to fit a model."""

    @property
    def name(self) -> str: ...

    def settings(self) -> dict[str, Any]:
        """Return what is needed to fit it again."""
        ...

    def fit(self, trainer: Trainer, rows: Rows, seed: int, tick: Tick) -> Model:
        """Return the model fitted on the rows, in balance there."""
        ...


@dataclass(frozen=True, slots=True)
class Intercept:
    """The mean frequency."""

    name: str = "intercept"

    def settings(self) -> dict[str, Any]:
        return {}

    def fit(self, trainer: Trainer, rows: Rows, seed: int, tick: Tick) -> Model:
        return intercept_only(trainer.data, rows)


@dataclass(frozen=True, slots=True)
class Glm:
    """The generalised linear model of the specification."""

    terms: tuple[GlmTerm, ...]
    name: str = "glm"

    def settings(self) -> dict[str, Any]:
        return {"terms": msgspec.to_builtins(self.terms)}

    def fit(self, trainer: Trainer, rows: Rows, seed: int, tick: Tick) -> Model:
        return balanced_on(purify(fit_glm(trainer.data, rows, self.terms)), trainer.data, rows)


@dataclass(frozen=True, slots=True)
class Boosted:
    """Free boosting: the mean score of some boosters."""

    boost: BoostSettings
    rounds: int
    bags: int
    name: str = "boosted"

    def settings(self) -> dict[str, Any]:
        return {**msgspec.to_builtins(self.boost), "most_rounds": self.rounds, "bags": self.bags}

    def fit(self, trainer: Trainer, rows: Rows, seed: int, tick: Tick) -> Model:
        boosters = bag(trainer, rows, self.boost, self.rounds, self.bags, seed, None, tick)
        return balanced_on(trainer.model(boosters), trainer.data, rows)


@dataclass(frozen=True, slots=True)
class Explainable:
    """Boosting of main effects and chosen pairs, collapsed exactly to lookup tables and purified."""

    boost: BoostSettings
    rounds: int
    bags: int
    pairs: Pairs
    name: str = "explainable"

    def settings(self) -> dict[str, Any]:
        return {
            **msgspec.to_builtins(self.boost),
            "most_rounds": self.rounds,
            "bags": self.bags,
            "pairs": [list(pair) for pair in self.pairs],
        }

    def fit(self, trainer: Trainer, rows: Rows, seed: int, tick: Tick) -> Model:
        boosters = bag(trainer, rows, self.boost, self.rounds, self.bags, seed, self.pairs, tick)
        data = trainer.data
        tables = collapse(boosters, data.columns, float(np.log(trainer.mean)))
        return balanced_on(purify(tables), data, rows)


def bag(
    trainer: Trainer,
    rows: Rows,
    settings: BoostSettings,
    rounds: int,
    bags: int,
    seed: int,
    pairs: Pairs | None,
    tick: Tick,
) -> list[Any]:
    """Return boosters fitted on the rows, each cut where its own held-out tenth of the contracts was best."""
    part = grouped_folds(trainer.data.groups, WATCH_FOLDS, seed)
    boosters = []
    for number in range(bags):
        watch = rows & (part == number % WATCH_FOLDS)
        booster, curve = trainer.fit(
            rows & ~watch,
            settings,
            rounds,
            seed + number,
            pairs=pairs,
            watch=watch,
            tick=lambda done, number=number: tick((number + done) / bags),  # type: ignore[misc]
        )
        boosters.append(trainer.cut(booster, best_round(curve)))
    return boosters


def balanced_on(model: Model, data: TableData, rows: Rows) -> Model:
    """Return the model with expected equal to observed claims on the rows (the balance property).

    Wuethrich, Scandinavian Actuarial Journal 2020, 331-342: boosting and penalties lose it, a factor mends it.
    """
    expected = data.exposure[rows] * np.exp(model.log_frequency(data.codes[rows]))
    return model.shifted(float(np.log(data.claims[rows].sum() / expected.sum())))


def chosen_pairs(model: TableModel, importance: Sequence[float], share: float) -> Pairs:
    """Return the pairs that hold the given share of what all pair tables tell apart, strongest first."""
    ranked = sorted(
        (
            (float(worth), term.features)
            for term, worth in zip(model.terms, importance, strict=True)
            if len(term.features) == 2
        ),
        reverse=True,
    )
    total = sum(worth for worth, _ in ranked)
    found: list[tuple[int, int]] = []
    held = 0.0
    for worth, features in ranked:
        if total == 0 or held >= share * total:
            break
        found.append((features[0], features[1]))
        held += worth
    return tuple(found)
