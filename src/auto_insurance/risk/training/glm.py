"""The generalised linear model: Poisson with a log link and exposure as the offset, fitted by glum, kept as tables.

Every term is a function of a feature's bin, so a fitted model is a sum of lookup tables too: what an actuary files is
what the program evaluates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auto_insurance.risk.training.arrays import Codes, Floats, sum_by
from auto_insurance.risk.training.columns import UNKNOWN, Column
from auto_insurance.risk.training.errors import InvalidTable, MissingExtra
from auto_insurance.risk.training.spec import GlmTerm
from auto_insurance.risk.training.table import TableData
from auto_insurance.risk.training.tables import TableModel, Term, add, empty_values

PENALTY = 1e-5
"""Ridge penalty per unit of mean deviance: steadies rare levels, moves nothing that has data."""


@dataclass(frozen=True, slots=True)
class Block:
    """What one term adds to the design, by bin of its feature or by pair of bins of its two."""

    features: tuple[int, ...]
    basis: Floats | None
    """Values of its columns, shape (bins, columns) or (bins, bins, columns); None where it only names levels."""
    levels: Codes
    """Number of the level of each bin or pair of bins; all 0 where there is a basis."""

    @property
    def width(self) -> int:
        """How many coefficients the term has."""
        return int(self.levels.max()) + 1 if self.basis is None else int(self.basis.shape[-1])

    def effects(self, coefficients: Floats) -> Floats:
        """Return the log effect of each bin or pair of bins."""
        return coefficients[self.levels] if self.basis is None else self.basis @ coefficients


def blocks(columns: Sequence[Column], terms: Sequence[GlmTerm]) -> list[Block]:
    """Return the design of the terms. Raises ``InvalidTable`` where a logarithm is taken of what is not positive."""
    places = {column.name: place for place, column in enumerate(columns)}
    found = []
    for term in terms:
        first = places[term.feature]
        block = _single(columns[first], first, term)
        if term.times is not None:
            second = places[term.times.feature]
            other = _single(columns[second], second, term.times)
            block = _product(block, other) if first < second else _product(other, block)
        found.append(block)
    return found


def _single(column: Column, place: int, term: GlmTerm) -> Block:
    x = np.asarray(column.centres)
    nothing = np.zeros(column.bins, dtype=np.int32)
    if term.form == "levels":
        return Block((place,), None, np.arange(column.bins, dtype=np.int32))
    if term.form == "bins":
        return Block((place,), None, np.searchsorted(np.asarray(term.knots), x, side="left").astype(np.int32))
    return Block((place,), _scaled(_basis(column, term), column), nothing)


def _product(one: Block, other: Block) -> Block:
    features = (*one.features, *other.features)
    if one.basis is None and other.basis is None:
        return Block(features, None, one.levels[:, None] * np.int32(other.width) + other.levels[None, :])
    basis = np.einsum("ai,bj->abij", _dense(one), _dense(other))
    shape = basis.shape[:2]
    return Block(features, basis.reshape(*shape, -1), np.zeros(shape, dtype=np.int32))


def _dense(block: Block) -> Floats:
    """Return the columns of a block; of named levels all but the first, which is the base."""
    if block.basis is not None:
        return block.basis
    every: Floats = np.eye(block.width)
    return every[block.levels][:, 1:]


def _basis(column: Column, term: GlmTerm) -> Floats:
    """Return the columns of one term on one feature, by bin."""
    x = np.asarray(column.centres)
    if term.form == "linear":
        return x[:, None]
    if term.form == "capped":
        return np.asarray(np.minimum(x, term.knots[0])[:, None], dtype=np.float64)
    if term.form == "log":
        if (x <= 0).any():
            raise InvalidTable(f"Column {column.name}: the GLM takes its logarithm, but it has values of 0 or less.")
        return np.asarray(np.log(x)[:, None], dtype=np.float64)
    knots = np.asarray(term.knots)
    return np.column_stack([x, *(np.maximum(0.0, x - knot) for knot in knots)])


def _scaled(basis: Floats, column: Column) -> Floats:
    """Return columns of mean 0 and spread 1 over the exposure, so that one penalty suits all; constant ones go."""
    weight = np.asarray(column.exposure)
    mean = weight @ basis
    spread = np.sqrt(weight @ (basis - mean) ** 2)
    kept = spread > 1e-9
    scaled: Floats = (basis[:, kept] - mean[kept]) / spread[kept]
    return scaled


def fit_glm(data: TableData, rows: NDArray[np.bool_], terms: Sequence[GlmTerm], penalty: float = PENALTY) -> TableModel:
    """Return the model fitted on the rows. Raises ``MissingExtra`` without glum."""
    design = blocks(data.columns, terms)
    codes = _typical(data.codes[rows], data.columns)
    claims, exposure = data.claims[rows], data.exposure[rows]
    cells, weights, rates = _cells(codes, sorted({f for block in design for f in block.features}), claims, exposure)
    fitted = _regressor(penalty).fit(_frame(design, cells), rates, sample_weight=weights)
    parts: list[TableModel] = []
    start = 0
    for block in design:
        values = empty_values(data.columns, block.features)
        inner = tuple(slice(0, -1) for _ in block.features)
        values[inner] = block.effects(fitted.coef_[start : start + block.width])
        start += block.width
        # ``add`` takes the mean, hence the factor.
        parts.append(TableModel(data.columns, 0.0, (Term(block.features, values * len(design)),)))
    return add(parts).shifted(float(fitted.intercept_))


def _frame(design: Sequence[Block], cells: Codes) -> Any:
    """Return the design as a data frame: glum keeps its categorical columns sparse."""
    try:
        import pandas  # noqa: PLC0415 - an extra, and slow to load
    except ImportError as error:
        raise MissingExtra("The GLM needs pandas: install auto-insurance[training].") from error
    columns: dict[str, Any] = {}
    for number, block in enumerate(design):
        place = tuple(cells[:, feature] for feature in block.features)
        if block.basis is None:
            columns[f"t{number}"] = pandas.Categorical.from_codes(block.levels[place], categories=range(block.width))
        else:
            values = block.basis[place]
            columns |= {f"t{number}_{column}": values[:, column] for column in range(block.width)}
    return pandas.DataFrame(columns)


def _cells(codes: Codes, used: Sequence[int], claims: Floats, exposure: Floats) -> tuple[Codes, Floats, Floats]:
    """Return rows alike in the used features as one: its codes, exposure and frequency. The likelihood is the same."""
    key = np.zeros(len(codes), dtype=np.int64)
    for feature in used:
        key = key * (int(codes[:, feature].max()) + 1) + codes[:, feature]
    _, first, cell = np.unique(key, return_index=True, return_inverse=True)
    weights = sum_by(cell, exposure, len(first))
    return codes[first], weights, sum_by(cell, claims, len(first)) / weights


def _typical(codes: Codes, columns: Sequence[Column]) -> Codes:
    typical = np.asarray([column.typical for column in columns], dtype=codes.dtype)
    return np.where(codes == UNKNOWN, typical[None, :], codes)


def _regressor(penalty: float) -> Any:
    try:
        from glum import GeneralizedLinearRegressor  # noqa: PLC0415 - an extra, and slow to load
    except ImportError as error:
        raise MissingExtra("The GLM needs glum: install auto-insurance[training].") from error
    return GeneralizedLinearRegressor(family="poisson", link="log", alpha=penalty, l1_ratio=0.0, max_iter=200)


def intercept_only(data: TableData, rows: NDArray[np.bool_]) -> TableModel:
    """Return the mean frequency of the rows: what every model has to beat."""
    return TableModel(data.columns, float(np.log(data.claims[rows].sum() / data.exposure[rows].sum())), ())
