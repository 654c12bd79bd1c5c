"""A claim frequency as a sum of lookup tables: main effects and pairs on the log scale, evaluated with numpy alone.

``log frequency = intercept + sum of one entry per table``. Each table has one more entry along each axis than its
feature has bins: the last stands for "unknown" and holds 0, the average effect, because tables are centred by
exposure. A contribution is therefore read off, exact, and relative to the average of the training portfolio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auto_insurance.risk.training.arrays import Codes, Floats
from auto_insurance.risk.training.columns import Column


@dataclass(frozen=True, slots=True)
class Term:
    """One table: the features' places among the columns, and log effects of shape (bins + 1,) per feature."""

    features: tuple[int, ...]
    values: Floats


@dataclass(frozen=True, slots=True)
class TableModel:
    """A frequency model of lookup tables."""

    columns: tuple[Column, ...]
    intercept: float
    """Logarithm of the frequency where every table says 0."""
    terms: tuple[Term, ...]

    @property
    def kind(self) -> str:
        """Form of the model."""
        return "tables"

    def log_frequency(self, codes: Codes) -> Floats:
        """Return the log frequency of each row; ``codes`` of shape (n, columns)."""
        total = np.full(len(codes), self.intercept)
        for term in self.terms:
            total += look_up(term, codes)
        return total

    def contributions(self, codes: Codes) -> Floats:
        """Return each table's log effect, shape (n, terms): with the intercept they add up to the log frequency."""
        return (
            np.column_stack([look_up(term, codes) for term in self.terms]) if self.terms else np.empty((len(codes), 0))
        )

    def shifted(self, by: float) -> TableModel:
        """Return the model with every frequency multiplied by ``exp(by)``."""
        return TableModel(self.columns, self.intercept + by, self.terms)

    def name(self, term: Term) -> str:
        """Return what a table is called: its features, joined by ``*``."""
        return "*".join(self.columns[feature].name for feature in term.features)


def look_up(term: Term, codes: Codes) -> Floats:
    """Return a table's entry for each row. Unknown is -1, which numpy reads as the last entry."""
    return term.values[tuple(codes[:, feature] for feature in term.features)]


def empty_values(columns: Sequence[Column], features: Sequence[int]) -> Floats:
    """Return a table of zeros for these features, with room for unknown."""
    return np.zeros(tuple(columns[feature].bins + 1 for feature in features))


def add(models: Sequence[TableModel]) -> TableModel:
    """Return the mean of models on the log scale (of frequencies: the geometric mean), again as tables."""
    columns = models[0].columns
    sums: dict[tuple[int, ...], Floats] = {}
    for model in models:
        for term in model.terms:
            sums.setdefault(term.features, empty_values(columns, term.features))
            sums[term.features] += term.values / len(models)
    intercept = float(np.mean([model.intercept for model in models]))
    return TableModel(columns, intercept, tuple(Term(key, sums[key]) for key in _ordered(sums)))


def _ordered(keys: dict[tuple[int, ...], Floats]) -> list[tuple[int, ...]]:
    return sorted(keys, key=lambda key: (len(key), key))


def purify(model: TableModel) -> TableModel:
    """Return the same function with every pair table free of main effects, and every table centred by exposure.

    Functional ANOVA under independent margins: a main effect is the average over the training exposure of everything
    else, its partial dependence, and rises wherever the whole function does. (Lengerich, Tan, Chang, Hooker and
    Caruana, AISTATS 2020, "Purifying interaction effects with the functional ANOVA", also weigh by the joint
    exposure; a main effect need not be monotone then although the function is.)
    """
    weights = [_weights(column) for column in model.columns]
    mains = {feature: np.zeros(column.bins) for feature, column in enumerate(model.columns)}
    pairs: dict[tuple[int, ...], Floats] = {}
    intercept = model.intercept
    for term in model.terms:
        if len(term.features) == 1:
            mains[term.features[0]] += term.values[:-1]
            continue
        first, second = term.features
        inner = term.values[:-1, :-1]
        rows, cols = inner @ weights[second], weights[first] @ inner
        mean = float(weights[first] @ rows)
        mains[first] += rows - mean
        mains[second] += cols - mean
        intercept += mean
        pairs[term.features] = pairs.get(term.features, 0.0) + inner - rows[:, None] - cols[None, :] + mean
    terms = []
    for feature, values in mains.items():
        mean = float(weights[feature] @ values)
        intercept += mean
        if np.any(values != 0.0):
            terms.append(Term((feature,), np.append(values - mean, 0.0)))
    terms += [Term(key, np.pad(pairs[key], ((0, 1), (0, 1)))) for key in _ordered(pairs)]
    return TableModel(model.columns, intercept, tuple(terms))


def _weights(column: Column) -> Floats:
    share = np.asarray(column.exposure)
    return share / share.sum() if share.sum() > 0 else np.full(column.bins, 1.0 / column.bins)


@dataclass(frozen=True, slots=True)
class MonotoneProof:
    """Whether a table model is monotone in a feature, over all combinations of all bins."""

    feature: str
    direction: int
    holds: bool
    steps: int
    """Steps from bin to bin that were looked at, each for the worst combination of everything else."""
    worst: float
    """Smallest change of the log frequency in the promised direction over one step; not below 0 where it holds."""


def prove_monotone(model: TableModel, feature: int, direction: int, *, rounding: float = 1e-9) -> MonotoneProof:
    """Look at every step of a feature under every combination of all other features.

    The change over a step is the main effect's plus, for each pair, an entry that depends on the partner alone. The
    partners are different features, so the worst combination is the sum of each pair's worst: exhaustive, and exact
    to ``rounding`` (sums of thousands of leaves).
    """
    steps = model.columns[feature].bins - 1
    change = np.zeros(steps)
    for term in model.terms:
        if feature not in term.features:
            continue
        axis = term.features.index(feature)
        inner = np.moveaxis(term.values, axis, 0)[:-1]
        moved = direction * np.diff(inner, axis=0)
        change += moved.reshape(steps, -1).min(axis=1) if steps else 0.0
    worst = float(change.min()) if steps else 0.0
    return MonotoneProof(model.columns[feature].name, direction, worst >= -rounding, steps, worst)


def importance(model: TableModel, codes: Codes, exposure: Floats) -> NDArray[np.float64]:
    """Return each table's exposure-weighted variance of the log effect: how much it tells apart."""
    found = []
    for term in model.terms:
        effect = look_up(term, codes)
        mean = np.average(effect, weights=exposure)
        found.append(float(np.average((effect - mean) ** 2, weights=exposure)))
    return np.asarray(found)
