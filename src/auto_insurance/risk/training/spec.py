"""What a data set's columns mean: features, exposure, claims, and which rows belong together."""

from __future__ import annotations

import tomllib
from importlib import resources
from itertools import pairwise
from pathlib import Path

import msgspec

from auto_insurance.risk.training.errors import InvalidSpec

SHIPPED = ("fremtpl2", "driving")
"""Data sets whose specification comes with the program."""


class FeatureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature. ``monotone``: 1 if the frequency may only rise with it, -1 if only fall, 0 if free."""

    name: str
    kind: str
    """``numeric``, ``ordered`` (levels have an order) or ``categorical``."""
    levels: tuple[str, ...] = ()
    """Levels of an ``ordered`` feature, lowest first; a ``categorical`` one learns them from the data."""
    monotone: int = 0
    max_bins: int = 255
    """Most bins of a ``numeric`` feature: each value its own, or quantiles where there are more."""
    of: tuple[str, ...] = ()
    """Columns whose joined values are the levels of a ``categorical`` feature, such as brand and power of a vehicle."""
    optional: bool = False
    """True if a row may lack it; it is then scored at the feature's average effect."""


class GlmTerm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One term of the generalised linear model on one feature, or the product of two such terms."""

    feature: str
    form: str
    """``linear``, ``capped`` (linear up to the knot), ``log`` (of a positive value), ``hinges`` (linear spline),
    ``bins`` or ``levels``."""
    knots: tuple[float, ...] = ()
    """Knots of ``hinges``; the one of ``capped``; upper bounds of all but the last of ``bins``."""
    times: GlmTerm | None = None
    """Interaction: the product of each column of this term with each of that one."""


class GroupSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows share a contract: neighbours in the order of ``order_by`` that are alike in ``equal``.

    With ``order_by`` alone, rows of the same value belong together (``equal`` empty).
    """

    order_by: str
    equal: tuple[str, ...] = ()


class TableSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data set of risks observed over an exposure."""

    name: str
    features: tuple[FeatureSpec, ...]
    exposure: str
    claims: str
    exposure_unit: str
    about: str = ""
    max_claims: float | None = None
    max_exposure: float | None = None
    group: GroupSpec | None = None
    period_end: str | None = None
    """Column of the day on which a row's period ends; with it the report has a split by time as well."""
    segments: tuple[str, ...] = ()
    """Columns, features or not, whose actual-to-expected ratios the report breaks down as a matter of fairness."""
    glm: tuple[GlmTerm, ...] = ()

    def feature(self, name: str) -> FeatureSpec:
        """Return a feature. Raises ``KeyError``."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(name)


def shipped_spec(name: str) -> TableSpec:
    """Return the specification of a data set that the program knows. Raises ``InvalidSpec``."""
    if name not in SHIPPED:
        raise InvalidSpec(f"There is no shipped specification {name}; there are: {', '.join(SHIPPED)}.")
    text = resources.files("auto_insurance.risk.training").joinpath("data", f"{name}.toml").read_text("utf-8")
    return parse_spec(text, f"{name}.toml")


def read_spec(file: Path) -> TableSpec:
    """Read a specification from a TOML file. Raises ``InvalidSpec`` naming file and place."""
    try:
        return parse_spec(file.read_text("utf-8"), file.name)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSpec(f"{file}: {error}") from error


def parse_spec(text: str, file: str) -> TableSpec:
    """Return the specification that a TOML text holds. Raises ``InvalidSpec``."""
    try:
        spec = msgspec.convert(tomllib.loads(text), TableSpec)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidSpec(f"{file}: {error}") from error
    check_spec(spec, file)
    return spec


def check_spec(spec: TableSpec, file: str) -> None:
    """Raise ``InvalidSpec`` for a specification that contradicts itself."""
    names = [feature.name for feature in spec.features]
    if not names or len(set(names)) != len(names):
        raise InvalidSpec(f"{file}: features must be listed, each once")
    used = {*names, *(part for feature in spec.features for part in feature.of)}
    for column in (spec.exposure, spec.claims, spec.group.order_by if spec.group else None, spec.period_end):
        if column in used:
            raise InvalidSpec(f"{file}: {column} is exposure, claims, order or time, and cannot be a feature")
    for feature in spec.features:
        _check_feature(feature, file)
    for term in spec.glm:
        _check_term(spec, term, file)


def _check_feature(feature: FeatureSpec, file: str) -> None:
    if feature.kind not in {"numeric", "ordered", "categorical"}:
        raise InvalidSpec(f"{file}: feature {feature.name}: kind must be numeric, ordered or categorical")
    if (feature.kind == "ordered") != bool(feature.levels):
        raise InvalidSpec(f"{file}: feature {feature.name}: levels belong to kind ordered, and it needs them")
    if feature.monotone not in {-1, 0, 1} or (feature.monotone and feature.kind == "categorical"):
        raise InvalidSpec(f"{file}: feature {feature.name}: monotone must be -1, 0 or 1, and 0 without an order")
    if feature.of and (feature.kind != "categorical" or len(feature.of) < 2):
        raise InvalidSpec(f"{file}: feature {feature.name}: of joins two or more columns to a categorical feature")
    if not 2 <= feature.max_bins <= 1024:
        raise InvalidSpec(f"{file}: feature {feature.name}: max_bins must be 2 to 1024")


def _check_term(spec: TableSpec, term: GlmTerm, file: str) -> None:
    where = f"{file}: glm term of {term.feature}"
    feature = next((feature for feature in spec.features if feature.name == term.feature), None)
    if feature is None:
        raise InvalidSpec(f"{where}: no such feature")
    if term.form not in {"linear", "capped", "log", "hinges", "bins", "levels"}:
        raise InvalidSpec(f"{where}: form must be linear, capped, log, hinges, bins or levels")
    if term.form != "levels" and feature.kind == "categorical":
        raise InvalidSpec(f"{where}: a categorical feature has the form levels")
    _check_knots(term, where)
    if term.times is not None:
        if term.times.times is not None or term.times.feature == term.feature:
            raise InvalidSpec(f"{where}: an interaction is between two different features")
        _check_term(spec, term.times, file)


def _check_knots(term: GlmTerm, where: str) -> None:
    if (term.form in {"capped", "hinges", "bins"}) != bool(term.knots):
        raise InvalidSpec(f"{where}: capped, hinges and bins need knots, the others none")
    if any(b <= a for a, b in pairwise(term.knots)) or (term.form == "capped" and len(term.knots) != 1):
        raise InvalidSpec(f"{where}: knots must rise, and capped has one")
