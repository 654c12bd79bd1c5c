from __future__ import annotations

from importlib import resources

import pytest

from auto_insurance.pricing.errors import InvalidPlan
from auto_insurance.pricing.plan import load_plan, parse_plan

TEXT = resources.files("auto_insurance.pricing").joinpath("data", "standard-1.toml").read_text(encoding="utf-8")


def test_the_shipped_plan_is_sound() -> None:
    plan = load_plan()
    assert plan.version == "standard-1"
    assert plan.plan.currency == "USD"
    assert {state: int(rates["standard"]) for state, rates in plan.base.items() if state != "other"} == {
        "CA": 1200,
        "NY": 1400,
        "TX": 1100,
        "FL": 1300,
    }


def test_a_missing_plan_is_named() -> None:
    with pytest.raises(InvalidPlan, match=r"no-such-plan\.toml: cannot be read"):
        load_plan("no-such-plan")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('version = "standard-1"', "version = 1", r"`\$.plan.version`"),
        ("[telematics]", "[telematic]", "unknown field"),
        ("[plan]", "[plan", "my.toml: Expected"),
        ("factor_places = 4 ", "factor_places = 40 ", "rounding.factor_places must be 0 to 8"),
        ("minimum_annual_premium = 300.00", "minimum_annual_premium = -1", "must not be negative"),
        ("[base.other]", "[base.WA]", "base.other is missing"),
        ("liability = 720.00\n", "", "base.CA must have exactly"),
        ("liability = 720.00", "liability = 0", "base.CA.liability must be positive"),
        ("[driver_age]\nunknown = 1.00", "[driver_age]\nunknown = 0", "driver_age.unknown must be positive"),
        ("  { factor = 1.18 },\n", "", "driver_age.bands: the last band must be open"),
        ("below = 25, factor = 1.20", "below = 20, factor = 1.20", r"driver_age.bands\[1\].below must be greater"),
        ("below = 25, factor = 1.20", "below = 25, factor = 0.0", r"driver_age.bands\[1\].factor must be positive"),
        ("private = 1.00", "private = 0.0", "vehicle_use.private must be positive"),
        ("[annual_mileage]\nunknown = 1.00", "[annual_mileage]\nunknown = 0.0", "annual_mileage.unknown"),
        ("[4000, 0.73]", "[1000, 0.73]", r"annual_mileage.points\[1\]: the value must be greater"),
        ("[4000, 0.73]", "[4000, 0.50]", r"annual_mileage.points\[1\]: the factor must not fall"),
        ("[2000, 0.57]", "[2000, 0.0]", r"annual_mileage.points\[0\]: the factor must be positive"),
        ("  [1.00, 1.00],\n", "", r"telematics.curve must have the point \[1, 1\]"),
        ("floor = 0.70", "floor = 1.10", "floor and ceiling must enclose 1"),
        ("max_change_per_term = 0.25", "max_change_per_term = 1.0", "max_change_per_term must be in"),
        ("participation = 0.95", "participation = 1.05", "participation must be in"),
    ],
)
def test_a_wrong_plan_says_where(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(InvalidPlan, match=message) as caught:
        parse_plan(TEXT.replace(old, new, 1), "my.toml")
    assert caught.value.detail.startswith("my.toml")


def test_every_fault_is_told_at_once() -> None:
    broken = TEXT.replace("floor = 0.70", "floor = 1.10").replace("private = 1.00", "private = 0.0")
    with pytest.raises(InvalidPlan) as caught:
        parse_plan(broken, "my.toml")
    assert "vehicle_use.private" in caught.value.detail
    assert "floor" in caught.value.detail


def test_a_curve_needs_two_points() -> None:
    start = TEXT.index("points = [")
    broken = TEXT[:start] + "points = [[2000, 0.57]]\n" + TEXT[TEXT.index("\n[telematics]") :]
    with pytest.raises(InvalidPlan, match=r"annual_mileage\.points needs two points"):
        parse_plan(broken, "my.toml")
