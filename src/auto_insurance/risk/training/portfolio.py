"""The reference portfolio: simulated driver-years whose true claim frequency is known.

Traits make habits, habits make what a year of driving shows, and claims. Everything is an assumption with its source
in ``data/portfolio-2.toml``. The same seed gives the same drivers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import msgspec
import numpy as np
import polars as pl

from auto_insurance.risk.features import FEATURES
from auto_insurance.risk.training.arrays import Floats
from auto_insurance.risk.training.errors import InvalidSpec

DEFAULT = "portfolio-2"
TRAITS = 4
REGIONS = ("north", "east", "south", "west")


class Habit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a feature varies among drivers, how it is seen, and what it does to the claim frequency."""

    noise: str
    """``count`` (Poisson over the miles) or ``time`` (gamma over the trips)."""
    mean: float
    sigma: float
    loadings: tuple[float, float, float, float]
    """On risk taking, distraction, night driving, haste."""
    slope: float
    knee: float
    source: str
    within: str | None = None


class Together(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two features that do more together than alone."""

    features: tuple[str, str]
    strength: float
    source: str


class Age(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How age shifts the trait risk taking."""

    youngest: int
    oldest: int
    young: float
    fade: float
    evidence: str


class NightShift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Drivers who work at night."""

    share: float
    shift: float
    evidence: str


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a portfolio is made of."""

    version: str
    seed: int
    driver_years: int
    years_per_driver: int
    portfolio_frequency: float
    frequency_evidence: str
    heterogeneity: float
    heterogeneity_evidence: str
    miles_median: float
    miles_sigma: float
    miles_evidence: str
    mean_speed_mph: float
    miles_per_trip: float
    age: Age
    night_shift: NightShift
    features: dict[str, Habit]
    together: tuple[Together, ...]


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Driver-years with what is known of them, and the truth beside."""

    recipe: Recipe
    frame: pl.DataFrame
    """Columns: ``driver_number``, the features, ``exposure_million_miles``, ``claims``, ``age``, ``sex``, ``region``,
    ``night_shift``, ``miles``."""
    true_frequency: Floats
    """Expected claims per million miles of exposure, of each row's habits."""


def read_recipe(name: str = DEFAULT) -> Recipe:
    """Read a shipped recipe. Raises ``InvalidSpec`` naming file and place."""
    text = resources.files("auto_insurance.risk.training").joinpath("data", f"{name}.toml").read_text("utf-8")
    try:
        recipe = msgspec.convert(tomllib.loads(text), Recipe)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidSpec(f"{name}.toml: {error}") from error
    check_recipe(recipe, f"{name}.toml")
    return recipe


def check_recipe(recipe: Recipe, file: str) -> None:
    """Raise ``InvalidSpec`` for a recipe that contradicts itself or the features of this program."""
    seen: set[str] = set()
    for name, habit in recipe.features.items():
        if name not in FEATURES:
            raise InvalidSpec(f"{file}: {name} is no feature of this program")
        if habit.noise not in {"count", "time"} or habit.slope < 0 or min(habit.mean, habit.sigma, habit.knee) <= 0:
            raise InvalidSpec(f"{file}: {name}: noise is count or time, slope not negative, the others positive")
        if sum(loading**2 for loading in habit.loadings) > 1:
            raise InvalidSpec(f"{file}: {name}: the squares of the loadings add up to more than 1")
        if habit.within is not None and habit.within not in seen:
            raise InvalidSpec(f"{file}: {name}: within names a feature that comes later or not at all")
        seen.add(name)
    for pair in recipe.together:
        if not set(pair.features) <= seen:
            raise InvalidSpec(f"{file}: together names unknown features: {', '.join(pair.features)}")


def make(recipe: Recipe, exponent: float, reference_miles: float, *, rows: int, seed: int) -> Portfolio:
    """Return a portfolio of so many driver-years.

    Exposure is distance that counts less than in proportion: ``reference_miles * (miles / reference_miles) **
    exponent`` a year, in million miles, as in :class:`auto_insurance.risk.exposure.ExposureCurve`.
    """
    rng = np.random.default_rng(seed)
    drivers = -(-rows // recipe.years_per_driver)
    people = _people(recipe, rng, drivers)
    habits = _habits(recipe, rng, people)
    year = np.arange(rows) // recipe.years_per_driver
    miles = recipe.miles_median * np.exp(recipe.miles_sigma * rng.standard_normal(drivers))[year]
    exposure = reference_miles * (miles / reference_miles) ** exponent / 1e6
    lived = {name: values[year] for name, values in habits.items()}
    effect = np.exp(log_effect(recipe, lived))
    frequency: Floats = recipe.portfolio_frequency * effect / np.average(effect, weights=exposure)
    hidden = rng.gamma(1.0 / recipe.heterogeneity, recipe.heterogeneity, drivers)[year]
    claims = rng.poisson(frequency * exposure * hidden)
    frame = pl.DataFrame(
        {
            "driver_number": year,
            **_seen(recipe, rng, lived, miles),
            "exposure_million_miles": exposure,
            "claims": claims,
            "age": people["age"][year].astype(np.int64),
            "sex": np.array(["female", "male"])[people["male"][year].astype(np.int64)],
            "region": np.array(REGIONS)[people["region"][year].astype(np.int64)],
            "night_shift": people["night_shift"][year].astype(bool),
            "miles": miles,
        }
    )
    return Portfolio(recipe, frame, frequency)


def log_effect(recipe: Recipe, features: Mapping[str, Floats]) -> Floats:
    """Return the log of what the features do to the claim frequency, up to a constant: the truth of the recipe."""
    total = np.zeros(len(next(iter(features.values()))))
    for name, habit in recipe.features.items():
        total += habit.slope * habit.knee * np.log1p(features[name] / habit.knee)
    for pair in recipe.together:
        parts = [features[name] / (features[name] + recipe.features[name].knee) for name in pair.features]
        total += pair.strength * parts[0] * parts[1]
    return total


def _people(recipe: Recipe, rng: np.random.Generator, count: int) -> dict[str, Floats]:
    age = np.floor(rng.uniform(recipe.age.youngest, recipe.age.oldest + 1, count))
    night_shift = (rng.random(count) < recipe.night_shift.share).astype(np.float64)
    traits = rng.standard_normal((TRAITS, count))
    traits[0] += recipe.age.young * np.exp(-(age - recipe.age.youngest) / recipe.age.fade)
    traits[2] += recipe.night_shift.shift * night_shift
    return {
        "age": age,
        "night_shift": night_shift,
        "male": (rng.random(count) < 0.5).astype(np.float64),
        "region": np.floor(rng.random(count) * len(REGIONS)),
        **{f"trait{number}": trait for number, trait in enumerate(traits)},
    }


def _habits(recipe: Recipe, rng: np.random.Generator, people: Mapping[str, Floats]) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for name, habit in recipe.features.items():
        own = np.sqrt(1.0 - sum(loading**2 for loading in habit.loadings)) * rng.standard_normal(len(people["age"]))
        for number, loading in enumerate(habit.loadings):
            own = own + loading * people[f"trait{number}"]
        value = habit.mean * np.exp(habit.sigma * own - habit.sigma**2 / 2.0)
        found[name] = _bounded(name, value, habit, found)
    return found


def _bounded(name: str, value: Floats, habit: Habit, so_far: Mapping[str, Floats]) -> Floats:
    upper = FEATURES[name].upper
    if upper is not None:
        value = np.minimum(value, upper)
    return value if habit.within is None else np.minimum(value, so_far[habit.within])


def _seen(recipe: Recipe, rng: np.random.Generator, habits: Mapping[str, Floats], miles: Floats) -> dict[str, Floats]:
    """Return what a year shows of the habits. A part of another feature stays a part of it."""
    shown: dict[str, Floats] = {}
    trips = miles / recipe.miles_per_trip
    for name, habit in recipe.features.items():
        if habit.noise == "time":
            value = _seen_time(rng, name, habit, habits, shown, trips)
        elif habit.within is None:
            inner = next((n for n, h in recipe.features.items() if h.within == name), None)
            mild = habits[name] - (habits[inner] if inner is not None else 0.0)
            value = 100.0 * rng.poisson(mild * miles / 100.0) / miles
        else:
            value = 100.0 * rng.poisson(habits[name] * miles / 100.0) / miles
            shown[habit.within] = shown[habit.within] + value
        shown[name] = _bounded(name, value, habit, shown)
    return shown


def _seen_time(
    rng: np.random.Generator,
    name: str,
    habit: Habit,
    habits: Mapping[str, Floats],
    shown: Mapping[str, Floats],
    trips: Floats,
) -> Floats:
    shape = np.maximum(trips / 8.0, 1.0)  # driving is alike within about eight trips
    own: Floats = rng.gamma(shape) / shape
    if habit.within is None:
        return habits[name] * own
    wider = habits[habit.within]
    share = np.divide(habits[name], wider, out=np.zeros_like(wider), where=wider > 0)
    return shown[habit.within] * np.minimum(share * own, 1.0)
