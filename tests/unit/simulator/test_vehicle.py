"""Dynamics: what no car can do, no simulated car does."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.devicekit.simulator.network import build_network
from auto_insurance.devicekit.simulator.path import Path, build_path
from auto_insurance.devicekit.simulator.speedplan import plan_speeds
from auto_insurance.devicekit.simulator.style import (
    HARSH_JERK_MS3,
    MAX_ACCEL_MS2,
    MAX_BRAKE_MS2,
    MAX_LATERAL_MS2,
    STYLES,
    DriverStyle,
)
from auto_insurance.devicekit.simulator.vehicle import DT, STEPS_PER_S, Drive, bounded_acceleration

styles = st.sampled_from(sorted(STYLES)).map(STYLES.__getitem__)


def some_path(seed: int) -> Path:
    rng = Random(seed)
    network = build_network(1 + seed % 3)
    start = rng.choice(network.towns[rng.randrange(6)])
    goal = rng.choice([n for n in network.towns[rng.randrange(6)] if n != start])
    return build_path(network, network.route(start, goal), start)


def collected(style: DriverStyle) -> DriverStyle:
    """The same style without its harsh moments."""
    return replace(style, late_brake=0.0, jackrabbit=0.0, hot_corner=0.0, hazards_per_km=0.0)


@given(st.floats(0.5, 9.0), st.lists(st.tuples(st.floats(-8, 5), st.integers(1, 15)), min_size=1, max_size=25))
def test_any_wish_keeps_jerk_bounded_and_speed_above_zero(jerk: float, wishes: list[tuple[float, int]]) -> None:
    v = a = 0.0
    for wish, steps in wishes:
        for _ in range(steps):
            nxt = bounded_acceleration(v, a, wish, jerk)
            assert abs(nxt - a) <= jerk * DT + 1e-6
            v += (a + nxt) * DT / 2
            a = nxt
            assert v >= -1e-9


@given(st.floats(0.5, 9.0), st.floats(0.0, 45.0), st.floats(-8.0, -0.2))
def test_a_brake_ends_at_rest_with_no_acceleration_left(jerk: float, v: float, wish: float) -> None:
    a = 0.0
    for _ in range(5000):
        nxt = bounded_acceleration(v, a, wish, jerk)
        v, a = v + (a + nxt) * DT / 2, nxt
        if v < 1e-6 and abs(a) < 1e-6:
            return
    pytest.fail("never came to rest")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), styles, st.floats(0, 1))
def test_a_drive_is_physically_plausible(seed: int, style: DriverStyle, traffic: float) -> None:
    path = some_path(seed)
    drive = Drive(path, style, Random(seed), traffic)
    before = None
    for state in drive.steps(idle_s=3.0):
        assert state.t < 3600 + path.length_m, "it arrives"
        assert state.v >= 0.0
        assert -MAX_BRAKE_MS2 - 1e-9 <= state.a <= MAX_ACCEL_MS2 + 1e-9
        assert abs(state.lateral) <= MAX_LATERAL_MS2
        if before is not None:
            assert abs(state.a - before.a) <= HARSH_JERK_MS3 * DT + 1e-6
            mean = (before.v + state.v) / 2
            # The trapezium differs from the exact integral of a linear acceleration by (a2 - a1) DT^2 / 12.
            assert state.s - before.s == pytest.approx(mean * DT, abs=HARSH_JERK_MS3 * DT**3 / 12 + 1e-6)
        before = state
    assert before is not None
    assert before.v == before.a == 0.0
    assert abs(before.s - path.length_m) < 6.0


def test_a_hazard_just_before_a_stop_does_not_end_the_drive() -> None:
    drive = Drive(some_path(20188), STYLES["average"], Random(20188), traffic=0.5)
    end = next(s for s in drive.steps() if drive.arrived or s.t > 7200)
    assert drive.arrived
    assert abs(end.s - drive.path.length_m) < 6.0


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), styles)
def test_a_collected_driver_corners_within_the_style(seed: int, style: DriverStyle) -> None:
    drive = Drive(some_path(seed), collected(style), Random(seed))
    assert max(abs(state.lateral) for state in drive.steps()) <= style.lateral


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_a_calm_driver_on_empty_roads_stays_comfortable(seed: int) -> None:
    calm = collected(STYLES["calm"])
    last = 0.0
    for state in Drive(some_path(seed), calm, Random(seed)).steps():
        assert state.a <= calm.accel + 1e-6
        assert state.a > -3.0
        assert abs(state.a - last) <= HARSH_JERK_MS3 * DT + 1e-6
        last = state.a


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), styles)
def test_following_never_touches_the_car_ahead(seed: int, style: DriverStyle) -> None:
    drive = Drive(some_path(seed), collected(style), Random(seed), traffic=1.0)
    for _ in drive.steps():
        if drive._leader is not None:
            assert drive._leader.gap > 0.0


def test_whole_seconds_are_the_steps_at_whole_seconds() -> None:
    path = some_path(7)
    fine = list(Drive(path, STYLES["average"], Random(7)).steps(2.0))
    seen: list[float] = []
    coarse = list(Drive(path, STYLES["average"], Random(7)).seconds(2.0, lambda t, v, a, lat: seen.append(t)))
    assert coarse[:-1] == fine[::STEPS_PER_S][: len(coarse) - 1]
    assert coarse[-1].s == fine[-1].s
    assert len(seen) == (len(coarse) - 1) * STEPS_PER_S


def test_the_car_stands_at_stops_as_long_as_it_has_to() -> None:
    count = 0
    for seed in range(6):
        drive = Drive(some_path(seed), STYLES["average"], Random(seed))
        stops = [stop for stop in drive.plan.stops if stop.wait_s < 1e9]
        states = list(drive.steps())
        for stop in stops:
            standing = [s for s in states if s.v == 0.0 and abs(s.s - stop.s) < 6.0]
            assert len(standing) * DT >= stop.wait_s - 1.0
        count += len(stops)
    assert count > 5


def test_the_speed_plan_slows_in_time_for_what_comes() -> None:
    style = STYLES["average"]
    plan = plan_speeds(some_path(5), style, Random(1), 0.0)
    for v1, v2 in zip(plan.envelope, plan.envelope[1:], strict=False):
        assert v1 * v1 <= v2 * v2 + 2 * style.brake * 4.0 + 1e-9
    assert plan.at(1e9) == plan.envelope[-1]


def test_a_hasty_style_brakes_starts_and_corners_hard() -> None:
    wild = replace(STYLES["aggressive"], late_brake=1.0, jackrabbit=1.0, hot_corner=1.0, hazards_per_km=0.5)
    states = [s for seed in range(4) for s in Drive(some_path(seed), wild, Random(seed)).steps()]
    assert min(s.a for s in states) < -3.3
    assert max(s.a for s in states) > 2.9
    assert max(abs(s.lateral) for s in states) > 3.5
