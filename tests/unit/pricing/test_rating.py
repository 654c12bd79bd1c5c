from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.pricing.errors import InvalidWorksheet
from auto_insurance.pricing.plan import COVERAGES, load_plan
from auto_insurance.pricing.rating import USES, Line, RatingInputs, Telematics, interpolate, rate, replay

PLAN = load_plan()
NO_TELEMATICS = Telematics()
six_places = st.integers(0, 10**6).map(lambda n: Decimal(n).scaleb(-6))
relativities = st.integers(100_000, 20_000_000).map(lambda n: Decimal(n).scaleb(-6))
running = st.integers(7000, 15000).map(lambda n: Decimal(n).scaleb(-4))


def _with(t: Telematics, relativity: Decimal) -> Telematics:
    return msgspec.structs.replace(t, relativity=relativity)


def _plain(
    *, participating: bool = True, vehicle_use: str = "private", telematics: Telematics = NO_TELEMATICS
) -> RatingInputs:
    return RatingInputs(
        rating_date=date(2026, 5, 1),
        state="CA",
        coverage="standard",
        driver_age=40,
        licence_years=20,
        vehicle_age=5,
        vehicle_use=vehicle_use,
        annual_mileage=10_000,
        prior_claims=0,
        participating=participating,
        telematics=telematics,
    )


@st.composite
def inputs(draw: st.DrawFn) -> RatingInputs:
    """Facts that a driver may have, unknowns included."""
    return RatingInputs(
        rating_date=date(2026, 5, 1),
        state=draw(st.sampled_from(["CA", "NY", "TX", "FL", "WA", ""])),
        coverage=draw(st.sampled_from(COVERAGES)),
        driver_age=draw(st.none() | st.integers(0, 110)),
        licence_years=draw(st.none() | st.integers(0, 90)),
        vehicle_age=draw(st.none() | st.integers(0, 60)),
        vehicle_use=draw(st.none() | st.sampled_from(USES)),
        annual_mileage=draw(st.none() | st.integers(0, 200_000)),
        prior_claims=draw(st.integers(0, 20)),
        participating=draw(st.booleans()),
        telematics=Telematics(
            relativity=draw(relativities), credibility=draw(six_places), running_relativity=draw(running)
        ),
    )


@given(inputs())
def test_replaying_the_worksheet_gives_the_premium_to_the_cent(given_inputs: RatingInputs) -> None:
    rating = rate(PLAN, given_inputs)
    assert replay(rating.worksheet) == (rating.annual_premium, rating.monthly_premium)
    stored = msgspec.convert(msgspec.to_builtins(rating.worksheet), tuple[Line, ...])
    assert stored == rating.worksheet
    assert replay(stored) == (rating.annual_premium, rating.monthly_premium)


@given(inputs())
def test_rating_is_deterministic_and_in_whole_cents(given_inputs: RatingInputs) -> None:
    one, other = rate(PLAN, given_inputs), rate(PLAN, given_inputs)
    assert one == other
    for amount in (one.annual_premium, one.monthly_premium):
        assert amount == amount.quantize(Decimal("0.01"))
    assert abs(one.monthly_premium * 12 - one.annual_premium) <= Decimal("0.06")
    assert one.annual_premium >= PLAN.rounding.minimum_annual_premium


@given(inputs(), relativities, relativities)
def test_a_riskier_driver_never_pays_less(given_inputs: RatingInputs, one: Decimal, other: Decimal) -> None:
    better, worse = sorted((one, other))
    low, high = (
        rate(PLAN, msgspec.structs.replace(given_inputs, telematics=_with(given_inputs.telematics, r)))
        for r in (better, worse)
    )
    assert low.annual_premium <= high.annual_premium
    assert low.telematics_relativity <= high.telematics_relativity


@given(inputs())
def test_floor_ceiling_and_term_limit_hold(given_inputs: RatingInputs) -> None:
    part, t = PLAN.telematics, given_inputs.telematics
    relativity = rate(PLAN, msgspec.structs.replace(given_inputs, participating=True)).telematics_relativity
    assert part.floor <= relativity <= part.ceiling
    change = part.max_change_per_term
    assert t.running_relativity * (1 - change) <= relativity <= t.running_relativity * (1 + change)


@given(inputs())
def test_without_credibility_the_driving_changes_nothing(given_inputs: RatingInputs) -> None:
    t = Telematics(relativity=given_inputs.telematics.relativity, credibility=Decimal(0))
    rating = rate(PLAN, msgspec.structs.replace(given_inputs, telematics=t, participating=True))
    assert rating.telematics_relativity == 1


@given(inputs())
def test_the_worksheet_names_rows_of_the_plan_in_order(given_inputs: RatingInputs) -> None:
    lines = rate(PLAN, given_inputs).worksheet
    assert [line.step for line in lines] == list(range(1, len(lines) + 1))
    assert all(after.amount_before == before.amount_after for before, after in pairwise(lines))
    for line in lines:
        assert _row_exists(line.source), line.source


def test_nobody_pays_for_telematics_without_a_device() -> None:
    lines = rate(PLAN, _plain(participating=False)).worksheet
    assert not {"participation", "telematics"} & {line.code for line in lines}


def test_an_unknown_use_is_rated_as_unknown() -> None:
    lines = rate(PLAN, _plain(vehicle_use="racing")).worksheet
    assert next(line.source for line in lines if line.code == "vehicle_use") == "vehicle_use.unknown"


def test_the_way_to_the_telematics_factor_is_told() -> None:
    t = Telematics(relativity=Decimal("1.4"), credibility=Decimal("0.5"))
    line = next(line for line in rate(PLAN, _plain(telematics=t)).worksheet if line.code == "telematics")
    assert line.detail == {
        "frequency_relativity": "1.4",
        "credibility": "0.5",
        "weighted": "1.200000",
        "curve": "1.1200",
        "running_relativity": "1.0000",
        "after_change_limit": "1.1200",
        "after_floor_and_ceiling": "1.1200",
    }


def test_interpolation_is_flat_outside_its_points() -> None:
    points = [(Decimal(1), Decimal(2)), (Decimal(3), Decimal(4))]
    assert [interpolate(points, Decimal(x)) for x in (0, 1, 2, 3, 9)] == [2, 2, 3, 4, 4]


def _tampered(code: str, **changes: object) -> tuple[Line, ...]:
    lines = rate(PLAN, _plain()).worksheet
    return tuple(msgspec.structs.replace(line, **changes) if line.code == code else line for line in lines)


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        (_tampered("prior_claims", factor=Decimal("1.1")), "does not lead to its amount"),
        (_tampered("prior_claims", amount_before=Decimal(1)), "does not start at the amount before it"),
        (_tampered("prior_claims", factor=None), "needs a factor"),
        (_tampered("prior_claims", operation="guess"), "unknown operation guess"),
        ((), "no annual premium"),
    ],
)
def test_a_tampered_worksheet_is_refused(sheet: tuple[Line, ...], message: str) -> None:
    with pytest.raises(InvalidWorksheet, match=message):
        replay(sheet)


def _row_exists(source: str) -> bool:
    place: object = msgspec.to_builtins(PLAN)
    for name in source.replace("]", "").replace("[", ".").split("."):
        if isinstance(place, dict) and name in place:
            place = place[name]
        elif isinstance(place, list) and int(name) < len(place):
            place = place[int(name)]
        else:
            return False
    return True
