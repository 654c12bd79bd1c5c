"""A fleet as a whole: determinism, any cut of the stream, truth, differences between styles."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.devicekit.simulator.fleet import Event, Fleet, FleetOptions
from auto_insurance.devicekit.simulator.sensor import SensorOptions
from auto_insurance.devicekit.simulator.trip import TripTruth
from auto_insurance.kernel import geo

START = datetime(2026, 3, 6, 5, tzinfo=UTC)  # a Friday; the clocks change on the Sunday
END = START + timedelta(days=2)
OPTIONS = FleetOptions(seed=3, size=3, mix={"commuter": 1.0, "night_shift": 1.0})


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet(OPTIONS)


@pytest.fixture(scope="module")
def whole(fleet: Fleet) -> list[tuple[int, Event]]:
    return list(fleet.stream(START, END))


def totals(style: str, days: int = 2) -> dict[str, float]:
    f = Fleet(FleetOptions(seed=9, size=2, mix={style: 1.0}))
    trips = [t for i in range(2) for t in f.truth(i, START, START + timedelta(days=days))]
    km = sum(t.distance_m for t in trips) / 1000
    seconds = sum((t.end - t.start).total_seconds() for t in trips)
    return {
        "harsh": sum(t.harsh_brakes + t.rapid_accels + t.harsh_corners for t in trips) / km,
        "speeding": sum(t.speeding_s for t in trips) / seconds,
        "phone": sum(t.phone_s for t in trips) / seconds,
        "night": sum(t.night_s for t in trips) / seconds,
        "km": km,
    }


def test_the_stream_is_ordered_unique_and_in_the_form_of_the_api(whole: list[tuple[int, Event]]) -> None:
    assert len(whole) > 3000
    order = [(event["timestamp"], index) for index, event in whole]
    assert order == sorted(order)
    assert len(set(order)) == len(order), "each device's time rises strictly"
    assert len({event["event_id"] for _, event in whole}) == len(whole)
    for _, event in islice(whole, 0, None, 97):
        parsed = msgspec.convert(event, TelemetryEvent)
        assert isinstance(parsed.timestamp, int)
        assert parsed.timestamp % 1000 == 0


def test_the_same_seed_gives_the_same_events_and_another_seed_others(whole: list[tuple[int, Event]]) -> None:
    again = Fleet(OPTIONS).stream(START, END)
    assert list(islice(again, 2000)) == whole[:2000]
    other = Fleet(replace(OPTIONS, seed=4))
    assert list(islice(other.stream(START, END), 50)) != whole[:50]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2 * 86_400 * 10), st.integers(1, 86_400))
def test_any_cut_equals_that_part_of_the_whole(
    fleet: Fleet, whole: list[tuple[int, Event]], tenths: int, length_s: int
) -> None:
    from_ = START + timedelta(seconds=tenths / 10)
    to = min(END, from_ + timedelta(seconds=length_s))
    low, high = from_.timestamp() * 1000, to.timestamp() * 1000
    assert list(fleet.stream(from_, to)) == [item for item in whole if low <= item[1]["timestamp"] < high]


def test_a_new_process_goes_on_in_the_middle_of_a_trip(whole: list[tuple[int, Event]]) -> None:
    index, event = whole[len(whole) // 2]
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    rest = [e for i, e in whole if i == index and e["timestamp"] >= event["timestamp"]]
    assert list(Fleet(OPTIONS).events(index, at, END)) == rest


def test_one_driver_of_a_fleet_does_not_depend_on_its_size(whole: list[tuple[int, Event]]) -> None:
    bigger = Fleet(FleetOptions(seed=3, size=9, mix=OPTIONS.mix))
    assert list(islice(bigger.events(1, START, END), 500)) == [e for i, e in whole if i == 1][:500]


def test_a_trip_has_its_ignition_events_and_one_hertz_between_them() -> None:
    f = Fleet(FleetOptions(seed=3, size=1, mix={"commuter": 1.0}, sensor=SensorOptions.perfect()))
    trips: dict[str, list[Event]] = {}
    for event in f.events(0, START, END):
        trips.setdefault(event["trip_id"], []).append(event)
    truths = {t.trip_id: t for t in f.truth(0, START, END)}
    assert set(trips) == set(truths)
    for trip_id, events in trips.items():
        assert [e["event_type"] for e in events if e["event_type"] != "normal"] == ["ignition_on", "ignition_off"]
        assert [b["timestamp"] - a["timestamp"] for a, b in pairwise(events)] == [1000] * (len(events) - 1)
        check_truth(truths[trip_id], events)


def check_truth(truth: TripTruth, events: list[Event]) -> None:
    assert truth.start.timestamp() * 1000 == events[0]["timestamp"]
    assert truth.end.timestamp() * 1000 == events[-1]["timestamp"]
    points = [(e["latitude"], e["longitude"]) for e in events]
    track = sum(geo.haversine_m(*a, *b) for a, b in pairwise(points))
    # Chords cut corners: a second in a tight turn loses some decimetres; the plane is true to 0.3 %.
    assert track == pytest.approx(truth.distance_m, rel=0.008)
    mph = [e["speed"] for e in events]
    by_speed = sum((a + b) / 2 for a, b in pairwise(mph)) * 0.44704
    assert by_speed == pytest.approx(truth.distance_m, rel=0.005)
    assert max(mph) * 0.44704 <= truth.max_speed_ms + 0.01
    assert sum(e["speed"] >= e["speed_limit"] + 5 for e in events) == pytest.approx(truth.speeding_s, abs=2)
    assert sum(e["phone_in_use"] for e in events) == truth.phone_s


def test_truth_is_complete_and_does_not_depend_on_the_window(fleet: Fleet) -> None:
    whole = list(fleet.truth(0, START, END))
    middle = START + timedelta(hours=15)
    assert whole == [*fleet.truth(0, START, middle), *fleet.truth(0, middle, END)]
    assert all(a.end < b.start for a, b in pairwise(whole))


def test_styles_differ_in_the_right_direction() -> None:
    calm, aggressive = totals("calm"), totals("aggressive")
    assert aggressive["harsh"] > 3 * calm["harsh"]
    assert aggressive["speeding"] > calm["speeding"] + 0.05
    assert calm["speeding"] < 0.02
    assert totals("distracted")["phone"] > 5 * calm["phone"] + 0.02
    assert totals("night_shift")["night"] > calm["night"] + 0.2


def test_facts_for_enrolment_fit_the_style() -> None:
    f = Fleet(FleetOptions(size=40))
    drivers = f.drivers()
    assert len({d.name for d in drivers}) == 40
    assert f.devices[0] == "SIM00001"
    assert len({d.style.name for d in drivers}) >= 6
    for d in drivers:
        age = (date(2026, 1, 1) - d.date_of_birth).days / 365.25
        assert d.style.age_from <= age <= d.style.age_to + 1.1
        assert d.licence_date < date(2026, 1, 1)
        assert (d.licence_date - d.date_of_birth).days >= 16 * 365
        assert 1000 <= d.declared_annual_mileage <= 40_000
        assert d.simulated
        assert d.prior_claims in (0, 1, 2)
        assert d.vehicle.use in ("private", "commute", "business")
        assert (d.state, d.time_zone) == ("OH", "America/New_York")


def test_own_device_names_and_wrong_options() -> None:
    f = Fleet(FleetOptions(size=2), device_ids=["a", "b"])
    assert next(f.events(1, START, None))["device_id"] == "b"
    with pytest.raises(ValueError, match="at least one driver"):
        Fleet(FleetOptions(size=0))
    with pytest.raises(ValueError, match="device ids"):
        Fleet(FleetOptions(size=2), device_ids=["a"])
    with pytest.raises(ValueError, match="unknown styles: reckless"):
        Fleet(FleetOptions(mix={"reckless": 1.0}))


def test_truth_in_the_middle_of_a_drive_is_refused(fleet: Fleet) -> None:
    leg = fleet.legs(0, date(2026, 3, 6))[0]
    run = fleet._run(0, date(2026, 3, 6), 0, leg)
    samples = run.samples()
    for _ in range(60):
        next(samples)
    with pytest.raises(RuntimeError, match="still being driven"):
        run.truth()
