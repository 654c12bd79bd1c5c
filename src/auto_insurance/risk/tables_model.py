"""A trained model of lookup tables over driving features, in the form that scoring uses.

Effects are read off the tables, exact and additive; that of a pair of features is shared by both alike. Contributions
are relative to the average of the training portfolio, where every table says 0.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import exp, nan

import numpy as np

from auto_insurance.risk.artefacts import ScoringModel
from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.exposure import ExposureCurve
from auto_insurance.risk.features import BEHAVIOUR, FEATURES_VERSION, Doubles, FeatureValues
from auto_insurance.risk.model import Contribution, ModelInfo, Prediction, Predictions
from auto_insurance.risk.scale import ReferenceScale
from auto_insurance.risk.scorecard import check_columns, check_features
from auto_insurance.risk.training.about import About
from auto_insurance.risk.training.artefact import Artefact
from auto_insurance.risk.training.columns import UNKNOWN, Column, numeric_codes
from auto_insurance.risk.training.tables import TableModel, look_up, prove_monotone

EXPOSURE_UNIT = "million miles"
FEW = 8
"""Fewer rows are looked up one by one: calling NumPy costs more than it saves."""
_HARMFUL = frozenset(feature.name for feature in BEHAVIOUR)


class TablesModel:
    """Predicts from lookup tables. Implements :class:`auto_insurance.risk.model.RiskModel`."""

    def __init__(self, info: ModelInfo, tables: TableModel, portfolio_frequency: float) -> None:
        """``portfolio_frequency`` in claims per million miles."""
        self._info = info
        self._tables = tables
        self._portfolio = portfolio_frequency
        self._base = exp(tables.intercept)
        self._typical = {column.name: column.centres[column.typical] for column in tables.columns}
        self._edges = [(column.name, column.edges) for column in tables.columns]
        self._entries = [(term.features, term.values.tolist()) for term in tables.terms]

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def portfolio_frequency(self) -> float:
        return self._portfolio

    @property
    def base_frequency(self) -> float:
        """Frequency where every table says 0, claims per million miles."""
        return self._base

    @property
    def scored(self) -> tuple[str, ...]:
        return tuple(self._typical)

    @property
    def columns(self) -> Sequence[Column]:
        """How values become bins, with the training exposure in each bin."""
        return self._tables.columns

    def predict(self, rows: Sequence[FeatureValues]) -> list[Prediction]:
        for row in rows:
            check_features(row)  # in a row NaN is an error, as unknown is None; in columns NaN is unknown
        if len(rows) < FEW:
            return [self._one(row) for row in rows]
        columns = {
            name: np.array([nan if row.get(name) is None else row[name] for row in rows], np.float64)
            for name in {name for row in rows for name in row} | set(self._typical)
        }
        found = self.predict_all(columns)
        frequencies, relativities = found.frequency.tolist(), found.relativity.tolist()
        effects = {name: effect.tolist() for name, effect in found.effects.items()}
        return [
            Prediction(
                frequencies[place],
                relativities[place],
                tuple(
                    Contribution(name, row.get(name), self._typical[name], effects[name][place])
                    for name in self._typical
                ),
            )
            for place, row in enumerate(rows)
        ]

    def predict_all(self, features: Mapping[str, Doubles]) -> Predictions:
        check_columns(features)
        columns = self._tables.columns
        codes = np.column_stack([numeric_codes(features[column.name], column.edges) for column in columns])
        effects = {column.name: np.zeros(len(codes)) for column in columns}
        for term in self._tables.terms:
            part = look_up(term, codes) / len(term.features)
            for feature in term.features:
                effects[columns[feature].name] += part
        frequency = self._base * np.exp(np.sum(list(effects.values()), axis=0))
        return Predictions(frequency, frequency / self._portfolio, effects)

    def _one(self, row: FeatureValues) -> Prediction:
        given = [row.get(name) for name in self._typical]
        codes = [
            UNKNOWN if value is None else bisect_left(edges, value)
            for value, (_, edges) in zip(given, self._edges, strict=True)
        ]
        effects = [0.0] * len(codes)
        for features, entry in self._entries:
            for feature in features:
                entry = entry[codes[feature]]  # noqa: PLW2901 - from the table to its line to its cell
            for feature in features:
                effects[feature] += entry / len(features)
        frequency = self._base * exp(sum(effects))
        parts = zip(self._typical.items(), given, effects, strict=True)
        contributions = tuple(Contribution(name, value, typical, effect) for (name, typical), value, effect in parts)
        return Prediction(frequency, frequency / self._portfolio, contributions)

    def average(self) -> Prediction:
        unknown = tuple(Contribution(name, None, typical, 0.0) for name, typical in self._typical.items())
        return Prediction(self._portfolio, 1.0, unknown)

    def typical(self, feature: str) -> float | None:
        return self._typical.get(feature)


def scoring_model(
    version: str, artefact: Artefact, exposure: ExposureCurve, half_credibility_miles: float
) -> ScoringModel:
    """Return a trained artefact ready to score drivers.

    ``half_credibility_miles`` counts where the artefact's own data did not tell it.

    Raises ``InvalidArtefact`` unless it is a model of tables over this program's driving features, per million miles,
    calibrated within its tables, and never lower for worse driving.
    """
    about, tables = artefact.about, artefact.model
    if not isinstance(tables, TableModel):
        raise InvalidArtefact(f"{version}: drivers are scored by models of tables, this one is {about.kind}")
    _check(version, about, artefact, tables)
    try:
        scale = ReferenceScale(about.reference)
    except ValueError as error:
        raise InvalidArtefact(f"{version}: reference: {error}") from error
    info = ModelInfo(
        version=version,
        kind=about.kind,
        features_version=about.features_version,
        trained_on=f"Trained on simulated claims: {about.trained_on}" if about.simulated else about.trained_on,
        assumption_based=about.simulated,
        reference_population=f"{about.data} ({'simulated' if about.simulated else 'observed'})",
    )
    half = half_credibility_miles if about.half_credibility_miles is None else about.half_credibility_miles
    if not 0 < half < float("inf"):
        raise InvalidArtefact(f"{version}: half_credibility_miles must be positive, it is {half:g}")
    portfolio = about.portfolio_frequency or float(np.mean(about.reference[:-1]))
    return ScoringModel(
        model=TablesModel(info, tables, portfolio),
        scale=scale,
        exposure=exposure,
        half_credibility_miles=half,
    )


def _check(version: str, about: About, artefact: Artefact, tables: TableModel) -> None:
    if about.features_version != FEATURES_VERSION:
        raise InvalidArtefact(
            f"{version}: was fitted on features {about.features_version or 'of other data'}, this program has "
            f"{FEATURES_VERSION}"
        )
    if about.exposure_unit != EXPOSURE_UNIT:
        raise InvalidArtefact(f"{version}: frequencies are per {about.exposure_unit}, needed are per {EXPOSURE_UNIT}")
    if artefact.curve.raw:
        raise InvalidArtefact(f"{version}: has a calibration curve; contributions would not add up")
    foreign = [column.name for column in tables.columns if column.name not in _HARMFUL]
    if foreign:
        raise InvalidArtefact(f"{version}: scores what no model may: {', '.join(foreign)}")
    falling = [
        column.name
        for place, column in enumerate(tables.columns)
        if not prove_monotone(tables, place, direction=1).holds
    ]
    if falling:
        raise InvalidArtefact(f"{version}: worse driving would lower the frequency by {', '.join(falling)}")
