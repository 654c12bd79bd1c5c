"""Reads the model's data files that ship in the package. A broken file is named, never served."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeVar

import msgspec

from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.exposure import ExposureCurve
from auto_insurance.risk.features import BEHAVIOUR, FEATURES_VERSION
from auto_insurance.risk.model import ModelInfo, RiskModel
from auto_insurance.risk.reference import Population, Spread, Summary
from auto_insurance.risk.scale import ReferenceScale
from auto_insurance.risk.scorecard import Factor, PoissonScorecard

T = TypeVar("T")
SCORECARD = "scorecard-1"
"""Needs nothing but its file: scores where the default can't be loaded."""
TRAINED = ("driving-2",)
"""Shipped models that training made: folders of an artefact's files."""
DEFAULT_MODEL = "driving-2"
"""The champion of an installation that has chosen none."""


class ModelPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Table ``[model]``."""

    version: str
    kind: str
    features: str
    reference: str
    trained_on: str
    assumption_based: bool
    portfolio_frequency: float
    frequency_evidence: str
    half_credibility_miles: float
    credibility_evidence: str


class ExposurePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Table ``[exposure]``."""

    exponent: float
    reference_miles: float
    evidence: str


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scorecard file."""

    model: ModelPart
    exposure: ExposurePart
    factor: list[Factor]


class PopulationPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Table ``[population]``."""

    version: str
    seed: int
    drivers: int
    quantiles: int


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A population file."""

    population: PopulationPart
    features: dict[str, Spread]


class ReferencePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reference file."""

    version: str
    simulated: bool
    balance: float
    quantiles: list[float]


@dataclass(frozen=True, slots=True)
class ScoringModel:
    """A model with all that is needed to score with it."""

    model: RiskModel
    scale: ReferenceScale
    exposure: ExposureCurve
    half_credibility_miles: float


def shipped() -> tuple[str, ...]:
    """Return the versions of the models that come with the program."""
    return (*TRAINED, SCORECARD)


def shipped_card(name: str) -> str:
    """Return the model card of a shipped model, Markdown. Raises ``InvalidArtefact``."""
    try:
        place = ("data", name, "card.md") if name in TRAINED else ("data", f"{name}.md")
        return resources.files("auto_insurance.risk").joinpath(*place).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidArtefact(f"{name}.md: {error}") from error


def load(name: str = SCORECARD) -> ScoringModel:
    """Read a shipped scorecard with its reference. Raises ``InvalidArtefact`` naming file and place."""
    card = read_card(name)
    reference = _convert(f"{card.model.reference}.toml", ReferencePart)
    info = ModelInfo(
        version=card.model.version,
        kind=card.model.kind,
        features_version=card.model.features,
        trained_on=card.model.trained_on,
        assumption_based=card.model.assumption_based,
        reference_population=f"{reference.version} ({'simulated' if reference.simulated else 'observed'})",
    )
    try:
        scale = ReferenceScale(reference.quantiles)
    except ValueError as error:
        raise InvalidArtefact(f"{card.model.reference}.toml: {error}") from error
    return ScoringModel(
        model=PoissonScorecard(info, card.model.portfolio_frequency, reference.balance, card.factor),
        scale=scale,
        exposure=ExposureCurve(card.exposure.exponent, card.exposure.reference_miles),
        half_credibility_miles=card.model.half_credibility_miles,
    )


def read_card(name: str) -> Card:
    """Read and check a scorecard file."""
    card = _convert(f"{name}.toml", Card)
    check_card(card, f"{name}.toml")
    return card


def check_card(card: Card, file: str) -> None:
    """Raise ``InvalidArtefact`` for a card that is not monotone, not of these features or not complete."""
    if card.model.features != FEATURES_VERSION:
        raise InvalidArtefact(f"{file}: model.features is {card.model.features}, this program has {FEATURES_VERSION}")
    if card.model.portfolio_frequency <= 0 or card.model.half_credibility_miles <= 0:
        raise InvalidArtefact(f"{file}: model.portfolio_frequency and half_credibility_miles must be positive")
    if not 0 < card.exposure.exponent <= 1 or card.exposure.reference_miles <= 0:
        raise InvalidArtefact(f"{file}: exposure.exponent must be in (0, 1] and reference_miles positive")
    names = [factor.feature for factor in card.factor]
    known = {feature.name for feature in BEHAVIOUR}
    if not names or len(set(names)) != len(names) or not known.issuperset(names):
        raise InvalidArtefact(f"{file}: factor must list behaviour features, each at most once")
    for factor in card.factor:
        if factor.slope < 0 or not 0 <= factor.reference <= factor.cap:
            raise InvalidArtefact(f"{file}: factor {factor.feature}: needs slope >= 0 and 0 <= reference <= cap")


def read_population(name: str) -> Population:
    """Read the recipe of a simulated reference population."""
    recipe = _convert(f"{name}.toml", Recipe)
    part = recipe.population
    return Population(part.version, part.seed, part.drivers, part.quantiles, recipe.features)


def reference_toml(population: Population, summary: Summary) -> str:
    """Return the text of a reference file."""
    rows = [", ".join(f"{q:.6f}" for q in summary.quantiles[i : i + 8]) for i in range(0, len(summary.quantiles), 8)]
    return (
        f"# Made by risk.reference.summarise: seed {population.seed}, {population.drivers} drivers. Simulated.\n"
        f'version = "{population.version}"\nsimulated = true\nbalance = {summary.balance:.6f}\n'
        "# Claims per million miles at equal steps from the smallest to the largest.\nquantiles = [\n"
        + "".join(f"  {row},\n" for row in rows)
        + "]\n"
    )


def _convert(file: str, kind: type[T]) -> T:
    try:
        text = resources.files("auto_insurance.risk").joinpath("data", file).read_text(encoding="utf-8")
        raw: Mapping[str, Any] = tomllib.loads(text)
        return msgspec.convert(raw, kind)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidArtefact(f"{file}: {error}") from error
