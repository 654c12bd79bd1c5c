"""Every rule of a plan has a plan that breaks it, and the fault names the place."""

from __future__ import annotations

import pytest

from auto_insurance.pricing.errors import InvalidPlan
from auto_insurance.pricing.plan import fingerprint, load_plan, parse_plan, shipped_document, shipped_plans
from auto_insurance.pricing.plan_diff import differences

TEXT = shipped_document("standard-2")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('version = "standard-2"', 'version = "Standard 2"', "plan.version must be small letters"),
        ("minimum_annual_premium = 300.00", "minimum_annual_premium = nan", "nan is no number"),
        ("minimum_annual_premium = 300.00", "minimum_annual_premium = inf", "inf is no number"),
        ("[base.CA]", "[base.California]", "base.California: a state has two capital letters"),
        ("bodily_injury = 430.00", "bodily_injury = 4300000.00", "base.CA.bodily_injury must be positive and at most"),
        ("collision = 350.00\n", "", "base.CA must have exactly bodily_injury"),
        ("[packages.full]", "[packages.gold]", "packages must be exactly liability, standard, full"),
        ('collision = "250"', 'collision = "7"', "packages.full.collision: there is no option 7"),
        ('collision = "250"', 'roof = "250"', "packages.full.roof: there is no such cover"),
        ('options = { "25" = 0.96, "50" = 1.00, "100" = 1.05 }', "options = {}", "property_damage.options must not be"),
        ('"2000" = 0.66', '"2000" = -0.66', "coverages.collision.options.2000 must be positive"),
        ('distance = "driven"', 'distance = "declared"', "products.payd.bands belong to distance = 'driven'"),
        ("[products.hybrid.per_mile]", "[products.phyd.per_mile]", "products.hybrid.per_mile belongs to distance"),
        ("[products.phyd]", "[products.moon]", "products.moon: products are phyd, payd, per_mile, hybrid"),
        ("fixed_share = 0.40", "fixed_share = 1.0", "fixed_share must be in [0, 1), with at most 6 decimals"),
        ("fixed_share = 0.40", "fixed_share = 0.4000001", "fixed_share must be in [0, 1), with at most 6 decimals"),
        ("reference_miles = 10000", "reference_miles = 0", "reference_miles must be 1 to"),
        ("daily_cap_miles = 200", "daily_cap_miles = 0", "daily_cap_miles must be 1 to"),
        ("{ below = 5000, factor = 0.73 }", "{ below = 5000, factor = 0.50 }", "bands[1]: the factor must not fall"),
        ("{ below = 3000,", "{ below = -3000000,", "below must be at most"),
        ('"100" = 1.20, "112"', '"100" = 0.0, "112"', "territory.100 must be positive"),
        ("[16, 1.60],", "[1e9, 1.60],", "driver_age.points[0]: the value must be at most"),
        ("[prior_claims]\n", "[prior_claims]\npoints = [[1, 1], [2, 2]]\n", "prior_claims must have either bands"),
        ("max_change_per_term = 0.20 ", "max_change_per_term = 0.2000001 ", "with at most 6 decimals"),
        ("total = 0.40", "total = 1.40", "maximum_discount.total must be 0 to 1"),
        ('of = "factors"', 'of = "everything"', "maximum_discount.of"),
        ("[jurisdictions.CA]", "[jurisdictions.Cal]", "jurisdictions.Cal: a state has two capital letters"),
        ("behaviour = false\nlocation", 'products = ["moon"]\nlocation', "CA.products: the plan has no product"),
        ("amount = 20.00", "amount = 20.005", "fees[0].amount must be whole cents"),
        ('code = "fraud"', 'code = "policy"', "fees[0].code: policy is there twice"),
        ('states = ["NY"]', 'states = ["New York"]', "fees[1].states: a state has two capital letters"),
        ("NY = 0.02", "NY = 2", "taxes.NY must be 0 to 1"),
        ("NY = 0.02", "Ny = 0.02", "taxes.Ny: a state has two capital letters"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(InvalidPlan) as caught:
        parse_plan(TEXT.replace(old, new, 1), "my.toml")
    assert message in caught.value.detail


def test_all_shipped_plans_are_sound_and_named_after_their_files() -> None:
    assert shipped_plans() == ("legacy-smooth-1", "standard-1", "standard-2")
    assert all(load_plan(name).version == name for name in shipped_plans())


def test_an_empty_package_is_a_fault() -> None:
    text = TEXT.replace(
        '[packages.liability]\nbodily_injury = "50/100"\nproperty_damage = "50"\n', "[packages.liability]\n"
    )
    with pytest.raises(InvalidPlan, match=r"packages\.liability holds no cover"):
        parse_plan(text, "my.toml")


def test_a_fingerprint_is_of_what_a_plan_says() -> None:
    plain = fingerprint(load_plan("standard-2"))
    assert fingerprint(parse_plan("# a word\n" + TEXT, "x")) == plain
    assert fingerprint(parse_plan(TEXT.replace("total = 0.40", "total = 0.41"), "x")) != plain


def test_differences_name_places_and_both_sides() -> None:
    old = load_plan("standard-2")
    changed = (
        TEXT.replace("total = 0.40", "total = 0.41").replace("[21, 1.30]", "[21, 1.31]").replace("1.60]", "1.600]")
    )
    changed = changed.replace('[[fees]]\ncode = "fraud"\nlabel = "Fraud fund"\namount = 10.00\nstates = ["NY"]\n', "")
    found = {one.place: (one.old, one.new) for one in differences(old, parse_plan(changed, "x"))}
    assert found["maximum_discount.total"] == ("0.40", "0.41")
    assert found["driver_age.points[2]"] == ("21, 1.30", "21, 1.31")
    assert found["fees[1].states"] == ("NY", None)
    assert not any(place.startswith("driver_age.points[0]") for place in found)
    assert differences(old, old) == []
