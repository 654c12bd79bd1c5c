"""Facts that hold instead of those known: none left out, none added up by accident."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.drivers.schemas import DriverFacts, VehicleFacts
from auto_insurance.pricing.facts import NO_CHANGES, RiskChanges, changed, rating_inputs, together
from auto_insurance.pricing.rating import Telematics

FACTS = DriverFacts(
    driver_id="DRV001", full_name=None, date_of_birth=date(1986, 1, 1), licence_date=None, time_zone="UTC", state="CA",
    postcode="90001", declared_annual_mileage=9000, prior_claims=1, coverage="standard",
    vehicle=VehicleFacts(vehicle_id="VEH1", make="M", model="M", year=2022, use="private"),
    enrolled_at=datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip
ON = date(2026, 6, 15)
some = st.builds(
    RiskChanges,
    state=st.none() | st.sampled_from(["NY", "TX"]),
    coverage=st.none() | st.sampled_from(["full", "liability"]),
    vehicle_year=st.none() | st.integers(2000, 2026),
    annual_mileage=st.none() | st.integers(0, 30_000),
    prior_claims=st.none() | st.integers(0, 5),
    participating=st.none() | st.booleans(),
)


def test_no_changes_change_nothing() -> None:
    assert changed(FACTS, NO_CHANGES) == FACTS


@given(some, some)
def test_both_together_are_one_after_the_other(first: RiskChanges, then: RiskChanges) -> None:
    assert changed(changed(FACTS, first), then) == changed(FACTS, together(first, then))
    assert together(None, then) == then
    assert together(first, NO_CHANGES) == first


@given(some)
def test_what_is_given_is_what_is_rated(changes: RiskChanges) -> None:
    inputs = rating_inputs(FACTS, ON, Telematics(), changes)
    assert inputs.state == (changes.state or "CA")
    assert inputs.prior_claims == (1 if changes.prior_claims is None else changes.prior_claims)
    assert inputs.annual_mileage == (9000 if changes.annual_mileage is None else changes.annual_mileage)
    assert inputs.vehicle_age == 2026 - (changes.vehicle_year or 2022)
    assert inputs.participating is (changes.participating is not False)


def test_a_use_without_a_year_is_known_for_itself() -> None:
    bare = changed(FACTS, NO_CHANGES)
    inputs = rating_inputs(
        DriverFacts(**{**{name: getattr(bare, name) for name in bare.__struct_fields__}, "vehicle": None}),
        ON,
        Telematics(),
        RiskChanges(vehicle_use="business"),
    )
    assert (inputs.vehicle_use, inputs.vehicle_age) == ("business", None)


@pytest.mark.parametrize(("told", "given", "used"), [(None, 7000, 7000), (8000, 7000, 8000), (None, None, None)])
def test_miles_as_told_count_more_than_as_seen(told: int | None, given: int | None, used: int | None) -> None:
    inputs = rating_inputs(FACTS, ON, Telematics(), RiskChanges(driven_miles=told), given)
    assert inputs.driven_miles == used
