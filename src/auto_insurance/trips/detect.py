"""Finds harsh driving, speeding and phone use in a stream of samples. Pure; O(1) per sample.

Thresholds: braking 3.0, acceleration 2.5 and cornering 3.5 m/s2 held for 0.6 s above 20 km/h. Ordinary driving stays
below about 2-3 m/s2 along and 4 m/s2 across (Bosetti, Da Lio and Saroldi 2014, "On the human control of vehicles: an
experimental study of acceleration"); telematics programmes set their triggers at 0.25-0.45 g.
"""

from __future__ import annotations

from math import radians

import msgspec

from auto_insurance.kernel.geo import turn_deg
from auto_insurance.kernel.units import STANDARD_GRAVITY_MS2
from auto_insurance.telematics.schemas import EventType, Sample
from auto_insurance.trips.rules import TripRules

BRAKE, ACCEL, CORNER, SPEEDING, PHONE = range(5)
KINDS = ("harsh_brake", "rapid_accel", "harsh_corner", "speeding", "phone_usage")
CRASH = "crash"
MODERATE, SEVERE = "moderate", "severe"
SEVERE_SPEEDING_MPH = 20.0
MAX_EVENTS = 5_000
"""Events kept per trip and, apart from them, assertions kept per trip."""

_ASSERTED = frozenset({*KINDS, CRASH})


class Event(msgspec.Struct, array_like=True):
    """Something found or asserted. ``peak``: m/s2 for harsh kinds, mph over the limit, mph for phone use."""

    kind: str
    start_us: int
    end_us: int
    peak: float | None
    speed_mph: float | None
    latitude: float | None
    longitude: float | None
    asserted: bool


class Run(msgspec.Struct, array_like=True):
    """Consecutive samples past one threshold; ``event`` and ``last`` index the trip's events, -1 for none."""

    held_us: int = 0
    start_us: int = 0
    peak: float = 0.0
    speed_mph: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    event: int = -1
    last: int = -1


class Senses(msgspec.Struct, array_like=True):
    """What detection remembers within one trip."""

    runs: list[Run]
    found: list[Event]
    said: list[Event]
    ref_us: int = -1
    ref_speed: float = -1.0
    ref_heading: float | None = None
    speed: float = -1.0
    """Speed of the sample before, m/s; negative if unknown."""
    along_sum: float = 0.0
    along_s: float = 0.0
    across_sum: float = 0.0
    across_s: float = 0.0


def new_senses() -> Senses:
    """Return the memory of a trip that begins."""
    return Senses(runs=[Run() for _ in KINDS], found=[], said=[])


class Detector:
    """Applies the rules to one sample after the other."""

    __slots__ = (
        "_bias_max", "_bias_s", "_derive_max", "_derive_max_us", "_derive_min_us", "_gate", "_hold_us",
        "_merge_us", "_min_us", "_thresholds", "rules",
    )  # fmt: skip

    def __init__(self, rules: TripRules) -> None:
        self.rules = rules
        self._gate = rules.harsh_gate_kmh / 3.6
        self._hold_us = round(rules.hold_max_s * 1e6)
        self._derive_min_us = round(rules.derive_min_s * 1e6)
        self._derive_max_us = round(rules.derive_max_s * 1e6)
        self._derive_max = rules.derive_max_ms2
        self._bias_s = rules.bias_settle_s
        self._bias_max = rules.bias_max_ms2
        self._thresholds = (rules.brake_ms2, rules.accel_ms2, rules.corner_ms2)
        harsh, merge = round(rules.harsh_min_s * 1e6), round(rules.harsh_merge_s * 1e6)
        speeding, phone = round(rules.speeding_min_s * 1e6), round(rules.phone_min_s * 1e6)
        episode = round(rules.episode_merge_s * 1e6)
        self._min_us = (harsh, harsh, harsh, speeding, phone)
        self._merge_us = (merge, merge, merge, episode, episode)

    def sense(self, senses: Senses, sample: Sample, speed: float, dt_us: int) -> None:
        """Take in one sample. ``speed`` in m/s or negative if unknown; ``dt_us`` since the sample before (0: first)."""
        along, across, derived_us = self._derived(senses, sample, speed)
        hold = min(dt_us, self._hold_us)
        along_hold = across_hold = derived_us
        if sample.accel_g is not None:
            along, along_hold = self._measured_along(senses, sample.accel_g, speed, dt_us), hold
        if sample.lateral_g is not None:
            across, across_hold = self._measured_across(senses, sample.lateral_g, dt_us), hold
        gate, (brake, accel, corner) = self._gate, self._thresholds
        runs = senses.runs
        fast = speed > gate
        braking = along is not None and along <= -brake and (fast or senses.speed > gate)
        if braking or runs[BRAKE].held_us:
            self._track(senses, BRAKE, braking, sample, along_hold, -(along or 0.0), sample.speed_mph)
        speeding_up = along is not None and fast and along >= accel
        if speeding_up or runs[ACCEL].held_us:
            self._track(senses, ACCEL, speeding_up, sample, along_hold, along or 0.0, sample.speed_mph)
        turning = across is not None and fast and abs(across) >= corner
        if turning or runs[CORNER].held_us:
            self._track(senses, CORNER, turning, sample, across_hold, abs(across or 0.0), sample.speed_mph)
        senses.speed = speed

    def episode(self, senses: Senses, kind: int, on: bool, sample: Sample, dt_us: int, value: float) -> None:
        """Take in that speeding or phone use did or did not last over the interval that ends with ``sample``."""
        if on or senses.runs[kind].held_us:
            self._track(senses, kind, on, sample, dt_us, value, sample.speed_mph)

    def _track(
        self, senses: Senses, kind: int, on: bool, sample: Sample, hold_us: int, value: float, mph: float | None
    ) -> None:
        run = senses.runs[kind]
        if not on:
            run.held_us, run.event = 0, -1
            return
        if run.held_us == 0:
            run.start_us, run.peak, run.event = sample.t_us - hold_us, value, -1
            run.speed_mph, run.latitude, run.longitude = mph, sample.latitude, sample.longitude
        run.peak = max(run.peak, value)
        run.held_us += hold_us
        if run.event < 0 and run.held_us >= self._min_us[kind]:
            run.event = self._open(senses, run, kind)
        if run.event >= 0:
            event = senses.found[run.event]
            event.end_us = sample.t_us
            event.peak = max(event.peak or 0.0, run.peak)

    def _open(self, senses: Senses, run: Run, kind: int) -> int:
        """Return the index of the event that a run belongs to: a recent one of its kind, or a new one."""
        found = senses.found
        if run.last >= 0 and run.start_us - found[run.last].end_us <= self._merge_us[kind]:
            return run.last
        if len(found) >= MAX_EVENTS:
            return -1
        found.append(
            Event(KINDS[kind], run.start_us, run.start_us, run.peak, run.speed_mph, run.latitude, run.longitude, False)
        )
        run.last = len(found) - 1
        return run.last

    def _derived(self, senses: Senses, sample: Sample, speed: float) -> tuple[float | None, float | None, int]:
        """Return acceleration along and across in m/s2 from the change of speed and course, and the time they cover.

        Along: dv/dt. Across: v x dcourse/dt. Over at least 0.8 s, as quantised speeds differ wildly over less.
        """
        span = sample.t_us - senses.ref_us
        if senses.ref_us >= 0 and span < self._derive_min_us:
            return None, None, 0
        along = across = None
        if speed >= 0.0 and senses.ref_us >= 0 and senses.ref_speed >= 0.0 and span <= self._derive_max_us:
            seconds = span / 1e6
            along = (speed - senses.ref_speed) / seconds
            if abs(along) > self._derive_max:
                along = None
            if sample.heading_deg is not None and senses.ref_heading is not None and senses.ref_speed > self._gate:
                rate = radians(turn_deg(senses.ref_heading, sample.heading_deg)) / seconds
                across = rate * (speed + senses.ref_speed) / 2
                if abs(across) > self._derive_max:
                    across = None
        senses.ref_us, senses.ref_speed, senses.ref_heading = sample.t_us, speed, sample.heading_deg
        return along, across, span

    def _measured_along(self, senses: Senses, g: float, speed: float, dt_us: int) -> float:
        """Return the accelerometer's value without its mounting bias, m/s2.

        Over time the integral of a level accelerometer is the change of speed; what it shows beyond that is slope of
        the mounting. The estimate starts at 0 and gains trust with time (bias_settle_s), so it needs no calibration.
        """
        value = g * STANDARD_GRAVITY_MS2
        bias = senses.along_sum / (senses.along_s + self._bias_s)
        if 0 < dt_us <= self._hold_us and speed >= 0.0 and senses.speed >= 0.0:
            seconds = dt_us / 1e6
            senses.along_sum += value * seconds - (speed - senses.speed)
            senses.along_s += seconds
        return value - max(-self._bias_max, min(self._bias_max, bias))

    def _measured_across(self, senses: Senses, g: float, dt_us: int) -> float:
        """Return the lateral value without its mounting bias, m/s2: turns to both sides cancel over a trip."""
        value = g * STANDARD_GRAVITY_MS2
        bias = senses.across_sum / (senses.across_s + self._bias_s)
        seconds = min(dt_us, self._hold_us) / 1e6
        senses.across_sum += value * seconds
        senses.across_s += seconds
        return value - max(-self._bias_max, min(self._bias_max, bias))


def note_assertion(senses: Senses, sample: Sample) -> None:
    """Keep what the device itself says beside what the server finds; it is never counted."""
    kind = sample.event_type
    if kind not in _ASSERTED or len(senses.said) >= MAX_EVENTS:
        return
    peak: float | None = None
    if kind in {EventType.HARSH_BRAKE, EventType.RAPID_ACCEL}:
        peak = None if sample.accel_g is None else abs(sample.accel_g) * STANDARD_GRAVITY_MS2
    elif kind == EventType.HARSH_CORNER:
        peak = None if sample.lateral_g is None else abs(sample.lateral_g) * STANDARD_GRAVITY_MS2
    elif kind == EventType.SPEEDING and sample.speed_mph is not None and sample.speed_limit_mph is not None:
        peak = sample.speed_mph - sample.speed_limit_mph
    elif kind == EventType.PHONE_USAGE:
        peak = sample.speed_mph
    senses.said.append(
        Event(kind, sample.t_us, sample.t_us, peak, sample.speed_mph, sample.latitude, sample.longitude, True)
    )


def severity(event: Event, rules: TripRules) -> str:
    """Return ``severe`` from 1.5 m/s2 past the threshold, from 20 mph over the limit, and for a crash."""
    if event.kind == CRASH:
        return SEVERE
    if event.peak is None:
        return MODERATE
    limits = {
        KINDS[BRAKE]: rules.brake_ms2 + rules.severe_extra_ms2,
        KINDS[ACCEL]: rules.accel_ms2 + rules.severe_extra_ms2,
        KINDS[CORNER]: rules.corner_ms2 + rules.severe_extra_ms2,
        KINDS[SPEEDING]: SEVERE_SPEEDING_MPH,
    }
    limit = limits.get(event.kind)
    return SEVERE if limit is not None and event.peak >= limit else MODERATE


def over_class(speed_mph: float | None, limit_mph: float | None) -> int:
    """Return how far over the posted limit: -1 unknown, 0 below 5 mph, 1 from 5, 2 from 10, 3 from 20 mph over."""
    if speed_mph is None or limit_mph is None:
        return -1
    over = speed_mph - limit_mph
    if over < 5.0:
        return 0
    if over < 10.0:
        return 1
    return 2 if over < SEVERE_SPEEDING_MPH else 3
