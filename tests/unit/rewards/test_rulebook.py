"""Rules are data: versioned, checked when they are read, and the fault is named."""

from __future__ import annotations

from importlib.resources import files

import msgspec
import pytest

from auto_insurance.rewards.errors import InvalidRewardRules
from auto_insurance.rewards.rulebook import Rulebook, load_rulebook, parse_rules

SHIPPED = (files("auto_insurance.rewards") / "data" / "rules-1.toml").read_text("utf-8")


def test_the_shipped_rules_are_valid() -> None:
    book = load_rulebook()
    assert book.newest.version == "rules-1"
    assert book.of_season(2019) is None
    assert book.of_season(2030) is book.newest


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("points = 10\n", "points = 2\n", "a safer trip must not earn less"),
        ("from_score = 95.0", "from_score = 101.0", "must fall from at most 100"),
        ('measure = "trips"', 'measure = "hours"', "measure is one of"),
        ('code = "trips-10"', 'code = "miles-1000"', "codes must differ"),
        ('unit = "weeks"', 'unit = "years"', "unit is days or weeks"),
        ("minimum_points = 500 ", "minimum_points = 50 ", "points_per_unit <= minimum_points"),
        ("counted_per_day = 4", "counted_per_day = 0", "counted_per_day at least 1"),
        ("threshold = 25", "threshold = 0", "threshold and points are at least 1"),
        ("from_season = 2020", "from_season = true", "Expected `int`"),
        ("from_season = 2020", "season = 2020", "unknown field `season`"),
        ("[trips]", "[trips", "at line"),
    ],
)
def test_a_fault_is_named(old: str, new: str, fault: str) -> None:
    assert old in SHIPPED
    with pytest.raises(InvalidRewardRules) as raised:
        parse_rules(SHIPPED.replace(old, new, 1), "mine.toml")
    assert raised.value.detail.startswith("mine.toml: ")
    assert fault in raised.value.detail


def test_each_season_has_one_set() -> None:
    first = load_rulebook().newest
    second = msgspec.structs.replace(first, version="rules-2", from_season=2027)
    book = Rulebook([second, first])
    assert (book.of_season(2026), book.of_season(2027), book.newest) == (first, second, second)
    with pytest.raises(InvalidRewardRules, match="one season"):
        Rulebook([first, first])
    with pytest.raises(InvalidRewardRules, match="no rules"):
        Rulebook([])
