"""What holds for every plan and every driver."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auto_insurance.pricing.errors import InvalidRatingInputs, InvalidWorksheet
from auto_insurance.pricing.plan import load_plan
from auto_insurance.pricing.rating import Line, RatingInputs, base_premium, rate, replay, replay_all
from auto_insurance.pricing.rating_lines import apply
from tests.support.plans import decimals, inputs, plans

STANDARD_2 = load_plan("standard-2")
some = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@some
@given(st.data())
def test_the_same_twice_and_replayed_to_the_cent(data: st.DataObject) -> None:
    plan = data.draw(plans())
    one = data.draw(inputs(plan))
    rating = rate(plan, one)
    assert rate(plan, one) == rating
    stored = msgspec.convert(msgspec.to_builtins(rating.worksheet), tuple[Line, ...])
    replayed = replay_all(stored)
    assert replay(stored) == (rating.annual_premium, rating.monthly_premium)
    assert (replayed.fees, replayed.taxes) == (rating.fees, rating.taxes)
    assert replayed.rate_per_mile == (None if rating.per_mile is None else rating.per_mile.rate_per_mile)
    assert msgspec.convert(msgspec.to_builtins(one), RatingInputs) == one


@some
@given(st.data(), decimals("0.1", "20", 6), decimals("0.1", "20", 6))
def test_who_drives_worse_never_pays_less(data: st.DataObject, a: Decimal, b: Decimal) -> None:
    plan = data.draw(plans())
    one = data.draw(inputs(plan))
    low, high = (
        rate(plan, msgspec.structs.replace(one, telematics=msgspec.structs.replace(one.telematics, relativity=r)))
        for r in sorted((a, b))
    )
    assert low.telematics_relativity <= high.telematics_relativity
    assert low.expected_annual <= high.expected_annual


@some
@given(st.data())
def test_floor_ceiling_and_discounts_hold(data: st.DataObject) -> None:
    plan = data.draw(plans())
    one = data.draw(inputs(plan))
    rating, part, rules = rate(plan, one), plan.telematics, plan.rules(one.state)
    assert part.floor <= rating.telematics_relativity <= part.ceiling
    lines = {line.code: line for line in rating.worksheet}
    if plan.maximum_discount is not None:
        before = base_premium(rating.worksheet) if plan.maximum_discount.of == "base" else _before_discounts(lines)
        assert lines["maximum_discount"].amount_after >= before * (1 - plan.maximum_discount.total)
    if rules.discount_only:
        without = rate(plan, msgspec.structs.replace(one, participating=False))
        assert rating.expected_annual <= without.expected_annual
    if not rules.behaviour:
        assert rating.telematics_relativity == 1


def _before_discounts(lines: dict[str, Line]) -> Decimal:
    first = lines.get("participation") or lines["maximum_discount"]
    return first.amount_before


@pytest.mark.parametrize("name", ["standard-2", "legacy-smooth-1"])
@settings(max_examples=25, deadline=None)
@given(miles=st.integers(0, 40_000), age=st.integers(16, 90))
def test_prices_do_not_jump(name: str, miles: int, age: int) -> None:
    """A mile more costs cents and a year of age a few percent: there are no classes to fall out of."""
    plan = load_plan(name)
    here, farther, older = (
        rate(plan, _plain(**facts, participating=False)).annual_premium
        for facts in (
            {"annual_mileage": miles, "driver_age": age},
            {"annual_mileage": miles + 1, "driver_age": age},
            {"annual_mileage": miles, "driver_age": age + 1},
        )
    )
    assert abs(farther - here) <= here * Decimal("0.0005")
    assert abs(older - here) <= here * Decimal("0.06")


def test_covers_are_in_the_order_of_the_plan_with_what_was_chosen() -> None:
    rating = rate(STANDARD_2, _plain(coverage="full", choices={"collision": "1000"}))
    assert [(cover.code, cover.kind, cover.option) for cover in rating.covers] == [
        ("bodily_injury", "limit", "100/300"),
        ("property_damage", "limit", "100"),
        ("collision", "deductible", "1000"),
        ("comprehensive", "deductible", "250"),
    ]
    assert base_premium(rating.worksheet) == Decimal(430) * Decimal("1.17") + Decimal(290) * Decimal("1.05") + Decimal(
        350
    ) * Decimal("0.84") + Decimal(130) * Decimal("1.14")


def test_a_package_that_is_priced_as_a_whole_says_what_it_holds() -> None:
    rating = rate(load_plan("standard-1"), _plain(coverage="liability"))
    assert [(cover.code, cover.kind, cover.option) for cover in rating.covers] == [
        ("bodily_injury", "included", "50/100"),
        ("property_damage", "included", "50"),
    ]


@pytest.mark.parametrize(
    ("given_inputs", "message"),
    [
        ({"product": "by_moonlight"}, "product: standard-2 rates phyd, payd, per_mile, hybrid, not by_moonlight"),
        ({"coverage": "gold"}, "coverage: packages are liability, standard, full, not gold"),
        ({"choices": {"collision": "3"}}, "choices.collision: it may be 250, 500, 1000, 2000, not 3"),
        (
            {"coverage": "liability", "choices": {"collision": "500"}},
            "choices.collision: liability of standard-2 leaves no choice of it",
        ),
    ],
)
def test_what_cannot_be_rated_names_the_field(given_inputs: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRatingInputs) as caught:
        rate(STANDARD_2, _plain(**given_inputs))
    assert message in caught.value.detail
    assert caught.value.errors[0].field in message


def test_a_product_that_the_state_does_not_allow() -> None:
    rules = msgspec.structs.replace(STANDARD_2.rules("CA"), products=["payd"])
    plan = msgspec.structs.replace(STANDARD_2, jurisdictions={"CA": rules})
    with pytest.raises(InvalidRatingInputs, match="CA allows payd, not phyd"):
        rate(plan, _plain())
    assert rate(plan, _plain(product="payd")).product == "payd"


def test_a_score_that_knows_where_is_not_used_where_that_is_forbidden() -> None:
    rules = msgspec.structs.replace(STANDARD_2.rules("CA"), behaviour=True)
    plan = msgspec.structs.replace(STANDARD_2, jurisdictions={"CA": rules})
    for uses_location, source in ((True, "jurisdictions.CA.location"), (False, "telematics.curve")):
        telematics = {"relativity": "0.5", "credibility": "1", "uses_location": uses_location}
        line = next(x for x in rate(plan, _plain(telematics=telematics)).worksheet if x.code == "telematics")
        assert line.source == source


def test_operations_that_do_not_exist_or_lack_a_number() -> None:
    for operation, factor in (("guess", Decimal(1)), ("divide", Decimal(0)), ("per_unit", Decimal(0)), ("add", None)):
        with pytest.raises(InvalidWorksheet):
            apply(operation, factor, Decimal(1))


def _plain(**given: object) -> RatingInputs:
    facts: dict[str, object] = {
        "rating_date": STANDARD_2.plan.effective_from, "state": "CA", "coverage": "standard", "driver_age": 45,
        "licence_years": 20, "vehicle_age": 7, "vehicle_use": "private", "annual_mileage": 10_000, "prior_claims": 0,
    }  # fmt: skip
    return msgspec.convert({**facts, **given}, RatingInputs)
