"""Loads and checks the rules of rewards: data in the package, versioned, each holding from a season on."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise

import msgspec

from auto_insurance.rewards.errors import InvalidRewardRules
from auto_insurance.rewards.rules import MEASURES, GoalRule, Rules


class Rulebook:
    """All sets of rules; which one holds depends on the season."""

    def __init__(self, sets: Sequence[Rules]) -> None:
        """Raises ``InvalidRewardRules`` if there is none, or two hold from one season on."""
        self._sets = sorted(sets, key=lambda rules: rules.from_season)
        if not self._sets:
            raise InvalidRewardRules("There are no rules.")
        if any(one.from_season == other.from_season for one, other in pairwise(self._sets)):
            raise InvalidRewardRules("Two sets of rules hold from one season on.")

    @property
    def newest(self) -> Rules:
        """The rules of lifetimes and redemptions."""
        return self._sets[-1]

    def of_season(self, season: int) -> Rules | None:
        """Return the rules of a season, None before there were any."""
        found = [rules for rules in self._sets if rules.from_season <= season]
        return found[-1] if found else None


def load_rulebook() -> Rulebook:
    """Read the shipped rules. Raises ``InvalidRewardRules``."""
    folder = files("auto_insurance.rewards") / "data"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".toml"))
    return Rulebook([parse_rules((folder / name).read_text("utf-8"), name) for name in names])


def parse_rules(source: str, name: str) -> Rules:
    """Read a set of rules. Raises ``InvalidRewardRules`` that names file, place and fault."""
    try:
        rules = msgspec.convert(tomllib.loads(source), Rules)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidRewardRules(f"{name}: {error}") from error
    faults = _faults(rules)
    if faults:
        raise InvalidRewardRules(f"{name}: {'; '.join(faults)}")
    return rules


def _faults(rules: Rules) -> list[str]:
    found = []
    scores = [band.from_score for band in rules.trips.bands]
    if scores != sorted(set(scores), reverse=True) or not all(0 <= score <= 100 for score in scores):
        found.append("trips.bands must fall from at most 100 to at least 0")
    if any(one.points < other.points for one, other in pairwise(rules.trips.bands)):
        found.append("trips.bands: a safer trip must not earn less")
    if rules.trips.minimum_miles < 0 or rules.trips.counted_per_day < 1:
        found.append("trips: minimum_miles is at least 0, counted_per_day at least 1")
    codes = [streak.code for streak in rules.streaks]
    codes += [goal.code for goal in (*rules.milestones, *rules.achievements)]
    if len(codes) != len(set(codes)):
        found.append("codes must differ")
    found += [
        f"streaks.{streak.code}: unit is days or weeks, length and points at least 1"
        for streak in rules.streaks
        if streak.unit not in {"days", "weeks"} or streak.length < 1 or streak.points < 1
    ]
    for goal in (*rules.milestones, *rules.achievements):
        found += _goal_faults(goal)
    redemption = rules.redemption
    ordered = 1 <= redemption.points_per_unit <= redemption.minimum_points <= redemption.maximum_points
    if not ordered or redemption.unit <= 0:
        found.append("redemption: 1 <= points_per_unit <= minimum_points <= maximum_points, unit above 0")
    return found


def _goal_faults(goal: GoalRule) -> list[str]:
    if goal.measure not in MEASURES:
        return [f"{goal.code}: measure is one of {', '.join(sorted(MEASURES))}"]
    return [] if goal.threshold >= 1 and goal.points >= 1 else [f"{goal.code}: threshold and points are at least 1"]
