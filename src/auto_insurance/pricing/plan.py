"""A rating plan: versioned data, read and checked here, turned into money by :mod:`auto_insurance.pricing.rating`."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from functools import cache
from hashlib import sha256
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec

from auto_insurance.pricing.errors import InvalidPlan
from auto_insurance.pricing.plan_parts import OTHER_STATES, PACKAGES, RatingPlan
from auto_insurance.pricing.plan_rules import faults

__all__ = [
    "COVERAGES",
    "DEFAULT_PLAN",
    "OTHER_STATES",
    "RatingPlan",
    "fingerprint",
    "load_plan",
    "parse_plan",
    "shipped_document",
    "shipped_plans",
]
DEFAULT_PLAN = "standard-1"
COVERAGES = PACKAGES


class NotFinite(Exception):
    """A number of a plan that is infinite or none at all."""


def load_plan(name: str = DEFAULT_PLAN) -> RatingPlan:
    """Read a shipped plan. Raises ``InvalidPlan`` naming file and place."""
    return parse_plan(shipped_document(name), f"{name}.toml")


@cache
def shipped_plans() -> tuple[str, ...]:
    """Return the versions of the plans that come with the program, sorted."""
    files = (entry.name for entry in _data().iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def shipped_document(name: str) -> str:
    """Return a shipped plan as it is written. Raises ``InvalidPlan`` if there is none of that name."""
    file = f"{name}.toml"
    try:
        return _data().joinpath(file).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidPlan(f"{file}: cannot be read: {error}") from error


def fingerprint(plan: RatingPlan) -> str:
    """Return a hash of what a plan says, whatever its comments, order of tables and release of the program."""
    content = msgspec.json.encode(msgspec.to_builtins(plan), order="deterministic")
    return sha256(content).hexdigest()


def parse_plan(text: str, file: str) -> RatingPlan:
    """Read and check a plan from TOML. Raises ``InvalidPlan`` naming every place that is wrong."""
    try:
        plan = msgspec.convert(tomllib.loads(text, parse_float=_number), RatingPlan)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, NotFinite) as error:
        raise InvalidPlan(f"{file}: {error}") from error
    if wrong := list(faults(plan)):
        raise InvalidPlan(f"{file}: {'; '.join(wrong)}")
    return plan


def _number(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise NotFinite(f"{text} is no number that money can be multiplied with")
    return number


def _data() -> Traversable:
    return resources.files("auto_insurance.pricing").joinpath("data")
