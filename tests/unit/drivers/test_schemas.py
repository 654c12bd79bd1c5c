from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from auto_insurance.drivers.schemas import (
    Assignment,
    ContactUpdate,
    DeviceAssign,
    DeviceHistory,
    DeviceKeyView,
    DriverCreate,
    Span,
    VehicleCreate,
)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=12, unique=True), st.integers(-10, 1010), st.booleans())
def test_the_history_finds_the_one_span_that_holds(edges: list[int], t_us: int, open_end: bool) -> None:
    edges = sorted(edges)
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    bounds: list[tuple[int, int | None]] = [*pairs]
    if open_end and bounds:
        bounds[-1] = (pairs[-1][0], None)
    spans = tuple(
        Span(
            from_us=start,
            to_us=end,
            assignment=Assignment(driver_id=f"DRV{index}", vehicle_id=None, time_zone="UTC"),
        )
        for index, (start, end) in enumerate(bounds)
    )
    expected = [s.assignment for s in spans if s.from_us <= t_us and (s.to_us is None or t_us < s.to_us)]
    assert DeviceHistory(device_id="d", spans=spans).at(t_us) == (expected[0] if expected else None)


def test_a_device_without_history_is_nobodys() -> None:
    assert DeviceHistory(device_id="d").at(0) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"state": "Illinois"},
        {"state": "IL", "time_zone": "America/Springfield"},
        {"state": "IL", "prior_claims": -1},
        {"state": "IL", "coverage": "platinum"},
        {"state": "IL", "full_name": "a\x00b"},
        {"state": "IL", "roles": ["admin"]},
        {"state": "IL", "date_of_birth": "2000-01-01", "licence_date": "1999-01-01"},
        {"state": "IL", "contact": {"phone": "call me"}},
    ],
)
def test_wrong_drivers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DriverCreate.model_validate(wrong)


def test_a_right_driver() -> None:
    driver = DriverCreate.model_validate(
        {"state": "IL", "time_zone": "America/Chicago", "date_of_birth": "1990-01-01", "licence_date": "2008-01-01"}
    )
    assert driver.licence_date == date(2008, 1, 1)


@pytest.mark.parametrize("vin", ["1HGCM82633A00435", "1HGCM82633A0043521", "1HGCM82633A00435I", "1hgcm82633a004352"])
def test_wrong_vins_are_refused(vin: str) -> None:
    with pytest.raises(ValidationError):
        VehicleCreate(make="m", model="m", year=2020, vin=vin)


def test_contact_tells_absent_from_null() -> None:
    assert ContactUpdate.model_validate({"email": None}).model_fields_set == {"email"}


def test_a_device_needs_a_scope_and_its_key_does_not_show() -> None:
    with pytest.raises(ValidationError):
        DeviceAssign(scopes=frozenset())
    assert "aik_secret" not in repr(DeviceKeyView(device_id="d", driver_id="x", scopes=[], key="aik_secret"))
