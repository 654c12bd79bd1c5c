"""The reference population of the scorecard: simulated from documented assumptions, the same on every machine.

It is not observed. It gives the score its scale (whose percentile?) and the model its balance. The numbers in
``data/reference-*.toml`` come from :func:`summarise` and a test makes them anew.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from statistics import NormalDist

from auto_insurance.risk.features import FEATURES
from auto_insurance.risk.scorecard import Factor


@dataclass(frozen=True, slots=True)
class Spread:
    """How a feature varies among drivers: lognormal ``sigma``, ``loading`` on the common trait (-1..1)."""

    sigma: float
    loading: float
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Population:
    """A recipe: so many drivers from this seed, summarised in so many equal steps."""

    version: str
    seed: int
    drivers: int
    quantiles: int
    features: Mapping[str, Spread]


@dataclass(frozen=True, slots=True)
class Summary:
    """``balance``: mean of the exponentiated effects; ``quantiles``: of the frequency in claims per million miles."""

    balance: float
    quantiles: tuple[float, ...]


def draw(population: Population, typical: Mapping[str, float]) -> list[dict[str, float]]:
    """Return the drivers' features; ``typical`` are the means. Only ``random()`` and the normal quantile are used,
    which give the same numbers on every platform and Python version up to the last bits."""
    rng = random.Random(population.seed)  # noqa: S311 - a simulation, no secret
    normal = NormalDist()

    def z() -> float:
        return normal.inv_cdf(min(max(rng.random(), 1e-12), 1 - 1e-12))

    drivers = []
    for _ in range(population.drivers):
        trait = z()
        driver: dict[str, float] = {}
        for name, spread in population.features.items():
            own = spread.loading * trait + sqrt(1 - spread.loading**2) * z()
            value = typical[name] * exp(spread.sigma * own - spread.sigma**2 / 2)
            driver[name] = _bounded(name, value, spread, driver)
        drivers.append(driver)
    return drivers


def _bounded(name: str, value: float, spread: Spread, so_far: Mapping[str, float]) -> float:
    limits = [value, FEATURES[name].upper, so_far.get(spread.within) if spread.within is not None else None]
    return min(limit for limit in limits if limit is not None)


def summarise(population: Population, factors: Sequence[Factor], portfolio_frequency: float) -> Summary:
    """Return the balance and the quantiles of the frequency that the card gives the population."""
    drivers = draw(population, {factor.feature: factor.reference for factor in factors})
    effects = sorted(exp(sum(factor.log_effect(driver[factor.feature]) for factor in factors)) for driver in drivers)
    balance = sum(effects) / len(effects)
    last = len(effects) - 1
    picks = [effects[round(last * step / population.quantiles)] for step in range(population.quantiles + 1)]
    return Summary(round(balance, 6), tuple(round(portfolio_frequency * pick / balance, 6) for pick in picks))
