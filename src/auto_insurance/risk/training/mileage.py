"""How claims grow with distance: less than in proportion. Measured on portfolios that know the distance class.

The claim frequency of a year is fitted as ``exp(controls) * km ** exponent``, Poisson with the insured years as the
offset; intervals allow for over-dispersion (quasi-Poisson: McCullagh and Nelder, 1989, section 6.2.3). 1 would be
proportional, 0 no effect at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from auto_insurance.risk.training.arrays import Floats
from auto_insurance.risk.training.errors import InvalidTable
from auto_insurance.risk.training.table import read_frame

KM_PER_MILE = 1.609344
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Source:
    """A data set with distance classes. ``km``: the distance a year that a class stands for; None where none can be
    named: such a class is shown beside the others and has no part in the curve."""

    name: str
    file: str
    distance: str
    km: Mapping[str, float | None]
    exposure: str
    claims: str
    controls: tuple[str, ...]
    about: str


NORWAY = Source(
    name="norauto",
    file="norauto.parquet",
    distance="DistLimit",
    km={
        "8000 km": 8000,
        "12000 km": 12000,
        "16000 km": 16000,
        "20000 km": 20000,
        "25000-30000 km": 27500,
        "no limit": None,
    },
    exposure="Expo",
    claims="NbClaim",
    controls=("Male", "Young", "GeoRegion"),
    about="Norway, contractual distance limit (CASdatasets). 'no limit' is not a distance.",
)
SWEDEN = Source(
    name="swautoins",
    file="swautoins.parquet",
    distance="Kilometres",
    km={"1": None, "2": None, "3": 17500, "4": 22500, "5": 30000},
    exposure="Insured",
    claims="Claims",
    controls=("Zone", "Bonus", "Make"),
    about=(
        "Sweden 1977, class of distance a year (CASdatasets): 3 to 20,000 km, 4 to 25,000, 5 above (taken as 30,000). "
        "Class 2 is documented as 1,000 to 15,000 km, too wide to stand for a distance, and class 1 as below 1,000, "
        "which a third of all cars can hardly have driven."
    ),
)
SOURCES: Sequence[Source] = (NORWAY, SWEDEN)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One distance class: its adjusted frequency relative to the first class, with a 95 % interval."""

    label: str
    km: float | None
    years: float
    claims: float
    relativity: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Shape:
    """What a data set says about distance."""

    source: Source
    exponent: float
    low: float
    high: float
    dispersion: float
    classes: tuple[ClassRow, ...]

    @property
    def error(self) -> float:
        """Standard error of the exponent."""
        return (self.high - self.low) / (2.0 * _Z)


@dataclass(frozen=True, slots=True)
class Pooled:
    """The exponent over data sets, with a 95 % interval that holds their disagreement."""

    exponent: float
    low: float
    high: float
    between: float
    """Variance of the exponent from data set to data set."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A Poisson regression: coefficients, their covariance with over-dispersion, and the dispersion."""

    coefficients: Floats
    covariance: Floats
    dispersion: float


def poisson_fit(design: Floats, claims: Floats, exposure: Floats, steps: int = 50) -> Fit:
    """Return the maximum likelihood fit of ``claims ~ Poisson(exposure * exp(design @ b))`` (n rows, p columns).

    The dispersion is Pearson's, and at least 1.
    """
    coefficients = np.zeros(design.shape[1])
    coefficients[0] = np.log(claims.sum() / exposure.sum())
    information = np.eye(design.shape[1])
    for _ in range(steps):
        mean = exposure * np.exp(design @ coefficients)
        information = design.T @ (mean[:, None] * design)
        step = np.linalg.lstsq(information, design.T @ (claims - mean), rcond=None)[0]
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-10:
            break
    mean = exposure * np.exp(design @ coefficients)
    spare = max(len(claims) - design.shape[1], 1)
    dispersion = max(1.0, float(((claims - mean) ** 2 / mean).sum() / spare))
    covariance: Floats = dispersion * np.asarray(np.linalg.pinv(information), dtype=np.float64)
    return Fit(coefficients, covariance, dispersion)


def read_shape(folder: Path, source: Source) -> Shape:
    """Read a data set from the folder and fit it. Raises ``InvalidTable``."""
    return shape_of(read_frame(folder / source.file), source)


def shape_of(frame: pl.DataFrame, source: Source) -> Shape:
    """Return how the claims of a data set grow with distance. Raises ``InvalidTable`` for columns that are missing."""
    needed = [source.distance, source.exposure, source.claims, *source.controls]
    if missing := [name for name in needed if name not in frame.columns]:
        raise InvalidTable(f"{source.file}: columns are missing: {', '.join(missing)}.")
    cells = (
        frame.with_columns(pl.col(source.distance).cast(pl.String))
        .filter(pl.col(source.distance).is_in(list(source.km)) & (pl.col(source.exposure) > 0))
        .group_by(source.distance, *source.controls, maintain_order=True)
        .agg(pl.col(source.exposure).sum(), pl.col(source.claims).sum())
    )
    labels = cells[source.distance].to_list()
    placed = np.array([source.km[label] is not None for label in labels], dtype=bool)
    if len({label for label, kept in zip(labels, placed, strict=True) if kept}) < 2:
        raise InvalidTable(f"{source.file}: fewer than two classes of known distance.")
    exposure = cells[source.exposure].to_numpy().astype(np.float64)
    claims = cells[source.claims].to_numpy().astype(np.float64)
    controls = _dummies(cells.select(source.controls))
    distance = np.log([source.km[label] or 1.0 for label in labels])
    design = np.column_stack([np.ones(len(labels)), controls, distance])
    curve = poisson_fit(design[placed], claims[placed], exposure[placed])
    error = float(np.sqrt(curve.covariance[-1, -1]))
    exponent = float(curve.coefficients[-1])
    classes = _classes(source, labels, controls, claims, exposure)
    return Shape(source, exponent, exponent - _Z * error, exponent + _Z * error, curve.dispersion, classes)


def _classes(
    source: Source, labels: Sequence[str], controls: Floats, claims: Floats, exposure: Floats
) -> tuple[ClassRow, ...]:
    known = [label for label in source.km if label in set(labels)]
    member = np.array([[label == wanted for wanted in known] for label in labels], dtype=np.float64)
    fit = poisson_fit(np.column_stack([np.ones(len(labels)), controls, member[:, 1:]]), claims, exposure)
    first = 1 + controls.shape[1]
    rows = []
    for place, label in enumerate(known):
        effect, error = 0.0, 0.0
        if place:
            effect = float(fit.coefficients[first + place - 1])
            error = float(np.sqrt(fit.covariance[first + place - 1, first + place - 1]))
        inside = member[:, place] > 0
        ends = (effect, effect - _Z * error, effect + _Z * error)
        value, low, high = (float(np.exp(end)) for end in ends)
        years, counted = float(exposure[inside].sum()), float(claims[inside].sum())
        rows.append(ClassRow(label, source.km[label], years, counted, value, low, high))
    return tuple(rows)


def _dummies(frame: pl.DataFrame) -> Floats:
    parts = [np.empty((len(frame), 0))]
    for name in frame.columns:
        values = frame[name].cast(pl.String)
        levels = sorted(values.unique().to_list())
        parts.append(np.column_stack([(values == level).to_numpy() for level in levels])[:, 1:].astype(np.float64))
    return np.concatenate(parts, axis=1)


def pool(shapes: Sequence[Shape]) -> Pooled:
    """Return the random-effects mean of the exponents: DerSimonian and Laird, Controlled Clinical Trials 7 (1986)."""
    values = np.array([shape.exponent for shape in shapes])
    weights = np.array([shape.error**-2 for shape in shapes])
    fixed = float(np.average(values, weights=weights))
    excess = float((weights * (values - fixed) ** 2).sum()) - (len(values) - 1)
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    between = max(0.0, excess / scale) if scale > 0 else 0.0
    full = 1.0 / (1.0 / weights + between)
    mean, error = float(np.average(values, weights=full)), float(full.sum() ** -0.5)
    return Pooled(mean, mean - _Z * error, mean + _Z * error, between)


def to_toml(shapes: Sequence[Shape], pooled: Pooled, reference_miles: float) -> str:
    """Return the curve as the data file that ships."""
    lines = [
        "# Made by `auto-insurance risk mileage`. Claims of a year grow as (miles / reference_miles) ** exponent.",
        f"exponent = {pooled.exponent:.4f}",
        f"low = {pooled.low:.4f}",
        f"high = {pooled.high:.4f}",
        f"reference_miles = {reference_miles:.1f}",
    ]
    for shape in shapes:
        lines += [
            "",
            "[[source]]",
            f'name = "{shape.source.name}"',
            f'about = "{shape.source.about}"',
            f"exponent = {shape.exponent:.4f}",
            f"low = {shape.low:.4f}",
            f"high = {shape.high:.4f}",
            f"dispersion = {shape.dispersion:.3f}",
        ]
        lines.append("classes = [")
        lines += [
            f'  {{ label = "{row.label}", {_miles(row)}years = {row.years:.0f}, '
            f"claims = {row.claims:.0f}, relativity = {row.relativity:.4f}, low = {row.low:.4f}, "
            f"high = {row.high:.4f} }},"
            for row in shape.classes
        ]
        lines.append("]")
    return "\n".join(lines) + "\n"


def _miles(row: ClassRow) -> str:
    return "" if row.km is None else f"miles = {row.km / KM_PER_MILE:.0f}, "
