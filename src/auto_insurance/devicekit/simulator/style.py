"""Named driver styles: what differs between people, as numbers a vehicle and a diary can be driven by.

The spread follows published naturalistic-driving figures in kind, not in the digit: comfortable deceleration 1.5-2.5
m/s2 and time headway 1-2 s (Treiber, Kesting, Traffic Flow Dynamics, 2013, table 11.2), comfortable lateral
acceleration 1.8-3.5 m/s2 in curves (Reymond et al., Human Factors 43(3), 2001), jerk felt as comfortable up to about
2 m/s3. All of it is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

HARSH_JERK_MS3 = 9.0
"""Jerk limit of a late, hard manoeuvre, m/s3: the rise of brake pressure of a firm stop."""
MAX_BRAKE_MS2 = 7.5
"""What dry asphalt gives with some reserve, m/s2."""
MAX_ACCEL_MS2 = 4.5
"""What a family car gives in low gears, m/s2."""
MAX_LATERAL_MS2 = 6.5
"""Lateral acceleration that no style exceeds, m/s2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverStyle:
    """How one kind of driver drives and when.

    ``speed_factor`` wanted speed over the posted limit on an open road; ``speed_spread`` its standard deviation
    between trips. Accelerations in m/s2, jerk in m/s3, headway in s. ``late_brake``, ``jackrabbit``, ``hot_corner``:
    probability that a stop is braked for late, a start is made hard, a turn is taken fast. ``hazards_per_km``: hard
    braking on the open road. ``phone_per_hour`` uses of ``phone_s`` seconds (mean). Trips a day: ``errands`` (mean,
    weekdays and weekend), ``nights_out`` a week. ``work`` is the pattern of the working day: office, nights or none.
    ``commute_km`` the wished way to work.
    """

    name: str
    speed_factor: float
    speed_spread: float
    accel: float
    brake: float
    jerk: float
    lateral: float
    headway: float
    late_brake: float
    jackrabbit: float
    hot_corner: float
    hazards_per_km: float
    phone_per_hour: float
    phone_s: float
    motorway_cost: float
    work: str
    commute_km: float
    errands: float
    nights_out: float
    age_from: int
    age_to: int


def _style(name: str, **changes: float | str) -> DriverStyle:
    base: dict[str, float | str] = {
        "name": name,
        "speed_factor": 1.08,
        "speed_spread": 0.03,
        "accel": 1.5,
        "brake": 1.8,
        "jerk": 1.8,
        "lateral": 2.2,
        "headway": 1.5,
        "late_brake": 0.008,
        "jackrabbit": 0.006,
        "hot_corner": 0.01,
        "hazards_per_km": 0.006,
        "phone_per_hour": 0.6,
        "phone_s": 15.0,
        "motorway_cost": 1.0,
        "work": "office",
        "commute_km": 12.0,
        "errands": 1.0,
        "nights_out": 0.5,
        "age_from": 28,
        "age_to": 62,
    }
    return DriverStyle(**{**base, **changes})  # type: ignore[arg-type]


STYLES: dict[str, DriverStyle] = {
    style.name: style
    for style in (
        _style(
            "calm",
            speed_factor=0.96,
            speed_spread=0.02,
            accel=1.2,
            brake=1.4,
            jerk=1.3,
            lateral=1.8,
            headway=1.9,
            late_brake=0.001,
            jackrabbit=0.001,
            hot_corner=0.001,
            hazards_per_km=0.002,
            phone_per_hour=0.1,
            commute_km=6.0,
            nights_out=0.2,
            age_from=35,
            age_to=70,
        ),
        _style("average"),
        _style("commuter", speed_factor=1.14, commute_km=19.0, errands=0.5, hazards_per_km=0.008, headway=1.3),
        _style(
            "hurried",
            speed_factor=1.2,
            accel=1.9,
            brake=2.1,
            jerk=2.2,
            lateral=2.6,
            headway=1.1,
            late_brake=0.02,
            jackrabbit=0.02,
            hot_corner=0.025,
            hazards_per_km=0.015,
            phone_per_hour=1.0,
            errands=1.3,
        ),
        _style(
            "aggressive",
            speed_factor=1.27,
            speed_spread=0.04,
            accel=2.2,
            brake=2.4,
            jerk=2.6,
            lateral=3.0,
            headway=0.9,
            late_brake=0.06,
            jackrabbit=0.06,
            hot_corner=0.08,
            hazards_per_km=0.04,
            phone_per_hour=1.2,
            nights_out=1.5,
            age_from=22,
            age_to=45,
        ),
        _style("night_shift", work="nights", commute_km=11.0, nights_out=0.3, speed_factor=1.1, errands=0.5),
        _style(
            "distracted",
            late_brake=0.03,
            hazards_per_km=0.02,
            phone_per_hour=9.0,
            phone_s=35.0,
            headway=1.4,
            speed_spread=0.05,
            age_from=22,
            age_to=48,
        ),
        _style(
            "novice",
            speed_factor=1.05,
            speed_spread=0.06,
            jerk=2.4,
            late_brake=0.03,
            jackrabbit=0.015,
            hot_corner=0.03,
            hazards_per_km=0.015,
            phone_per_hour=2.0,
            motorway_cost=1.6,
            commute_km=5.0,
            nights_out=2.0,
            age_from=18,
            age_to=21,
        ),
        _style(
            "retired",
            speed_factor=0.9,
            speed_spread=0.03,
            accel=1.1,
            brake=1.5,
            jerk=1.4,
            lateral=1.7,
            headway=2.0,
            late_brake=0.004,
            jackrabbit=0.0,
            hot_corner=0.001,
            motorway_cost=1.3,
            phone_per_hour=0.05,
            work="none",
            errands=1.6,
            nights_out=0.1,
            age_from=66,
            age_to=82,
        ),
    )
}
"""All styles by name."""

DEFAULT_MIX: dict[str, float] = {
    "calm": 0.18,
    "average": 0.24,
    "commuter": 0.14,
    "hurried": 0.12,
    "aggressive": 0.08,
    "night_shift": 0.06,
    "distracted": 0.07,
    "novice": 0.06,
    "retired": 0.05,
}
"""Shares of the styles in a fleet, for want of a better one."""
