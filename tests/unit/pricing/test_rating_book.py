"""A book rated at once has the same cents as each of its rows rated by itself."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auto_insurance.pricing.plan import RatingPlan, load_plan
from auto_insurance.pricing.rating import RatingInputs, Telematics, rate
from auto_insurance.pricing.rating_book import RatedBook, rate_book
from auto_insurance.pricing.rating_columns import of_inputs
from auto_insurance.pricing.rating_sheets import worksheet
from auto_insurance.pricing.rating_vector import Curve, near_tie
from tests.support.plans import SHIPPED, decimals, inputs, plans

slow = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def _same(plan: RatingPlan, book: list[RatingInputs], rated: RatedBook) -> None:
    for row, one in enumerate(book):
        rating = rate(plan, one)
        assert Decimal(int(rated.annual[row])).scaleb(-2) == rating.annual_premium
        assert Decimal(int(rated.monthly[row])).scaleb(-2) == rating.monthly_premium
        assert Decimal(int(rated.expected_annual[row])).scaleb(-2) == rating.expected_annual
        assert Decimal(int(rated.fees[row])).scaleb(-2) == rating.fees
        assert Decimal(int(rated.taxes[row])).scaleb(-2) == rating.taxes
        assert rated.relativity[row] == float(rating.telematics_relativity)
        expected = Decimal(0) if rating.per_mile is None else rating.per_mile.rate_per_mile
        assert Decimal(int(rated.rate_per_mile[row])).scaleb(-4) == expected


@slow
@given(st.data())
def test_a_book_has_the_cents_of_its_rows(data: st.DataObject) -> None:
    plan = data.draw(plans())
    book = data.draw(st.lists(inputs(plan), min_size=1, max_size=12))
    columns = of_inputs(book)
    assert [columns.inputs(row) for row in range(len(book))] == book
    _same(plan, book, rate_book(plan, columns))


@slow
@given(st.data())
def test_columns_hold_the_whole_worksheet(data: st.DataObject) -> None:
    plan = data.draw(plans())
    book = data.draw(st.lists(inputs(plan), min_size=1, max_size=5))
    rated = rate_book(plan, of_inputs(book), worksheets=True)
    _same(plan, book, rated)
    for row, one in enumerate(book):
        lines = rate(plan, one).worksheet
        end = next(i for i, line in enumerate(lines) if line.operation == "round")
        found = worksheet(rated, row)
        assert [(x.code, x.operation, x.source) for x in found[:-1]] == [
            (x.code, x.operation, x.source) for x in lines[:end]
        ]
        assert found[-1].amount_after == lines[end].amount_after
        for mine, theirs in zip(found[:-1], lines[:end], strict=True):
            if mine.code != "maximum_discount":
                assert mine.factor == theirs.factor, mine.code
            assert abs(mine.amount_after - theirs.amount_after) < Decimal("0.0000001")


@pytest.mark.parametrize("plan", SHIPPED, ids=lambda plan: plan.version)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_shipped_plans_too(plan: RatingPlan, data: st.DataObject) -> None:
    book = data.draw(st.lists(inputs(plan), min_size=1, max_size=8))
    _same(plan, book, rate_book(plan, of_inputs(book)))


def test_half_a_cent_is_told_by_decimals() -> None:
    """1560 x 0.95 x 0.75 is 1111.50; with half a cent in the base the year lies on a tie exactly."""
    plan = load_plan("standard-1")
    base = {**plan.base, "CA": {**plan.base["CA"], "standard": Decimal("1000.10")}}
    tie = msgspec.structs.replace(plan, base=base)
    one = _plain(telematics=Telematics(relativity=Decimal("0.4"), credibility=Decimal(1)), participating=False)
    one = msgspec.structs.replace(one, vehicle_age=8)  # 1000.10 x 0.95 = 950.095
    rated = rate_book(tie, of_inputs([one]))
    assert rated.rated_alone == 1
    assert rated.annual.tolist() == [95010]
    assert rate(tie, one).annual_premium == Decimal("950.10")


def test_inputs_that_fit_no_column_are_rated_by_themselves() -> None:
    plan = load_plan("standard-1")
    odd = [
        _plain(telematics=Telematics(relativity=Decimal("1.23456789"), credibility=Decimal("0.5"))),
        _plain(telematics=Telematics(relativity=Decimal("1E+9"), credibility=Decimal(1))),
        _plain(annual_mileage=10**30),
        _plain(annual_mileage=5_000_000),
        _plain(),
    ]
    rated = rate_book(plan, of_inputs(odd), worksheets=True)
    assert rated.rated_alone == 4
    _same(plan, odd, rated)


def test_what_a_plan_does_not_rate_is_refused_and_the_rest_is_rated() -> None:
    plan = load_plan("standard-2")
    book = [_plain(product="phyd"), _plain(product="by_moonlight"), _plain(choices={"collision": "7"})]
    rated = rate_book(plan, of_inputs(book))
    assert "by_moonlight" in rated.refused[1]
    assert "it may be 250, 500, 1000, 2000, not 7" in rated.refused[2]
    assert rated.rated.tolist() == [True, False, False]
    assert rated.annual.tolist()[1:] == [0, 0]


def test_an_empty_book() -> None:
    rated = rate_book(load_plan("standard-2"), of_inputs([]), worksheets=True)
    assert len(rated.annual) == 0
    assert not rated.refused


def test_points_that_a_double_cannot_tell_apart_are_doubtful() -> None:
    points = [(Decimal(1), Decimal(1)), (Decimal("1.00000000000000000001"), Decimal(2))]
    _, doubtful = Curve(points, 4).at(np.array([1.0, 3.0]))
    assert doubtful.all()


@given(decimals("0", "100", 3), st.integers(1, 50))
def test_ties_are_seen_from_both_sides(amount: Decimal, error: int) -> None:
    near = near_tie(np.array([float(amount)]), np.array([error * 1e-9]))
    away = abs(amount - int(amount) - Decimal("0.5"))
    assert bool(near[0]) == (away <= Decimal(error).scaleb(-9)) or away < Decimal("1e-7")


def _plain(**given: object) -> RatingInputs:
    facts: dict[str, object] = {
        "rating_date": SHIPPED[0].plan.effective_from, "state": "CA", "coverage": "standard", "driver_age": 40,
        "licence_years": 20, "vehicle_age": 5, "vehicle_use": "private", "annual_mileage": 10_000, "prior_claims": 0,
    }  # fmt: skip
    return msgspec.convert({**facts, **given}, RatingInputs)
