"""Longitudinal dynamics of one car on a path: bounded jerk, car-following, stops.

Acceleration is continuous and piecewise linear (constant jerk over each step), so that speed and distance are
integrated exactly. Free driving and following: the Intelligent Driver Model (Treiber, Hennecke, Helbing, Phys. Rev. E
62, 1805, 2000). A stop is braked for with the constant deceleration v^2 / 2d that is needed, and released so that
acceleration is zero when speed is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from auto_insurance.devicekit.simulator.path import Path, Piece
from auto_insurance.devicekit.simulator.speedplan import SpeedPlan, Stop, plan_speeds
from auto_insurance.devicekit.simulator.style import HARSH_JERK_MS3, MAX_ACCEL_MS2, MAX_BRAKE_MS2, DriverStyle

STEPS_PER_S = 5
DT = 1.0 / STEPS_PER_S
_LAG_S = 1.2
"""Time constant of speed control, s; the envelope is read this far ahead."""
_MIN_GAP_M = 2.0
Observer = Callable[[float, float, float, float], None]


class State(NamedTuple):
    """One instant of a drive: SI units, heading in radians from north, ``lateral`` right positive, ``t`` s from the
    start.
    """

    t: float
    s: float
    v: float
    a: float
    lateral: float
    x: float
    y: float
    heading: float
    limit_mph: float


def bounded_acceleration(v: float, a: float, wanted: float, jerk: float) -> float:
    """Return the acceleration one step on: towards ``wanted``, within ``jerk``, and never so that speed would go
    below zero.

    While braking it keeps speed above what letting the brake off costs: with acceleration falling by one full step of
    jerk after another and the rest r of it in the last one, n full steps cost DT (n^2 step/2 + (n + 1/2) r). So speed
    and acceleration end at zero together, on a step. Where a milder ``jerk`` than before makes that impossible, the
    harsh limit is used.
    """
    step = jerk * DT
    quota = max(0.0, v / DT + a / 2)
    n = int((math.sqrt(1.0 + 8.0 * quota / step) - 1.0) / 2)
    lowest = -(n * step + (quota - n * (n + 1) * step / 2) / (n + 1))
    nxt = max(min(max(wanted, a - step), a + step), lowest)
    return nxt if nxt <= a + step + 1e-9 else min(nxt, a + HARSH_JERK_MS3 * DT)


class _Leader:
    """A car ahead that comes and goes: speed drifts about a part of the limit, sometimes it brakes hard."""

    __slots__ = ("gap", "hard_until", "target", "until", "v")

    def __init__(self, rng: Random, now: float, v: float, limit: float) -> None:
        self.gap = 12.0 + 2.5 * v
        self.v = v * rng.uniform(0.9, 1.02)
        self.target = limit * rng.uniform(0.75, 0.98)
        self.until = now + rng.uniform(15.0, 100.0)
        self.hard_until = -1.0

    def step(self, rng: Random, now: float, own_v: float) -> None:
        if now > self.hard_until and rng.random() < 0.0006:
            self.hard_until = now + 1.2
        a = -3.5 if now < self.hard_until else min(1.2, max(-1.5, (self.target - self.v) / 4.0))
        before = self.v
        self.v = max(0.0, before + a * DT)
        self.gap += ((before + self.v) / 2 - own_v) * DT


class Drive:
    """One drive along a path. Iterate over :meth:`steps` for every step, or :meth:`seconds` for whole seconds."""

    def __init__(self, path: Path, style: DriverStyle, rng: Random, traffic: float = 0.0) -> None:
        self.path, self.style, self.traffic = path, style, traffic
        self.plan: SpeedPlan = plan_speeds(path, style, rng, traffic)
        self._rng = rng
        self.s = self.v = self.a = 0.0
        self._tick = 0
        self._stop_index = 0
        self._braking = False
        self._late = False
        self._wait_until = 0.0
        self._push = 0.0
        self._hazard_until, self._hazard_brake = -1.0, 0.0
        self._leader: _Leader | None = None
        self._mood = 0.0
        self._piece = 0

    @property
    def arrived(self) -> bool:
        """True when the car stands at the end of the path."""
        return self._stop_index >= len(self.plan.stops)

    def steps(self, idle_s: float = 0.0) -> Iterator[State]:
        """Yield the state at every step until the car has arrived, beginning with ``idle_s`` seconds at rest."""
        self._wait_until = idle_s
        yield self.state()
        while not self.arrived:
            self.advance()
            yield self.state()

    def seconds(self, idle_s: float = 0.0, observe: Observer | None = None) -> Iterator[State]:
        """Yield the state at every whole second until the car has arrived; ``observe`` is told (t, v, a, lateral) of
        each step.
        """
        self._wait_until = idle_s
        while True:
            yield self.state()
            if self.arrived:
                return
            for _ in range(STEPS_PER_S):
                if self.arrived:
                    self._tick += 1
                else:
                    self.advance()
                if observe is not None:
                    observe(self._tick * DT, self.v, self.a, self.v**2 * self._locate().curvature)

    def _locate(self) -> Piece:
        pieces = self.path.pieces
        while self.s > pieces[self._piece].s1 and self._piece + 1 < len(pieces):
            self._piece += 1
        return pieces[self._piece]

    def state(self) -> State:
        """Return the present instant."""
        piece = self._locate()
        x, y, heading = piece.at(self.s)
        return State(
            self._tick * DT, self.s, self.v, self.a, self.v**2 * piece.curvature, x, y, heading, piece.limit_mph
        )

    def advance(self) -> None:
        """Go on by one step."""
        now = self._tick * DT
        self._tick += 1
        if self.v == 0.0 and now < self._wait_until:
            return
        if self._tick % STEPS_PER_S == 0:
            self._each_second(now)
        stop = self.plan.stops[self._stop_index]
        wanted, jerk = self._wanted(now, stop)
        a, v = self.a, self.v
        nxt = bounded_acceleration(v, a, min(MAX_ACCEL_MS2, max(-MAX_BRAKE_MS2, wanted)), jerk)
        self.s += v * DT + (2 * a + nxt) * DT * DT / 6
        self.v = max(0.0, v + (a + nxt) * DT / 2)
        self.a = nxt
        if self.v < 1e-6 and abs(nxt) < 1e-6 and wanted <= 0.0:
            self._halt(stop, self._tick * DT)

    def _halt(self, stop: Stop, now: float) -> None:
        """Come to rest: at the stop it was for, or short of it, to roll on."""
        self.v = self.a = 0.0
        if stop.s - self.s < 6.0:
            self._wait_until = now + stop.wait_s if stop.wait_s < math.inf else now
            self._push = stop.jackrabbit
            self._stop_index += 1
        # Also after a halt short of it (for a hazard): the way to the stop is driven and braked for anew.
        self._braking = self._late = False

    def _each_second(self, now: float) -> None:
        rng, style = self._rng, self.style
        self._mood = 0.97 * self._mood + rng.gauss(0.0, 0.006)
        rate = style.hazards_per_km * self.v / 1000.0 * (1.0 + self.traffic)
        if rng.random() < rate and self.v > 11.0 and self.a > -0.5:
            self._hazard_until = now + rng.uniform(1.4, 2.2)
            self._hazard_brake = rng.uniform(3.3, 5.2)
        clear = self.plan.stops[self._stop_index].s - self.s > 150.0
        limit = self.path.pieces[self._piece].limit_ms
        if self._leader is None:
            if clear and self.v > 5.0 and rng.random() < 0.006 * (1.0 + 3.0 * self.traffic):
                self._leader = _Leader(rng, now, self.v, limit)
        elif not clear or now > self._leader.until or self._leader.gap > 150.0:
            self._leader = None

    def _wanted(self, now: float, stop: Stop) -> tuple[float, float]:
        """Return the wanted acceleration (m/s2) and the jerk limit that holds now (m/s3)."""
        style, v = self.style, self.v
        jerk = style.jerk
        wanted = self._free(v)
        leader = self._leader
        if leader is not None:
            leader.step(self._rng, now, v)
            wanted = min(wanted, self._following(v, leader))
        wanted = max(wanted, -1.5 * style.brake) if leader is None else wanted
        if now < self._hazard_until:
            wanted, jerk = min(wanted, -self._hazard_brake), HARSH_JERK_MS3
        need = self._stopping(v, stop)
        wanted = min(wanted, need)
        if self._late or wanted < -1.5 * style.brake or self.a < -1.6 * style.brake or self.a > 1.1 * style.accel:
            jerk = HARSH_JERK_MS3
        return wanted, jerk

    def _free(self, v: float) -> float:
        """Acceleration on an open road towards the envelope (IDM's free term below it, a time lag above)."""
        env = self.plan.at
        ahead = min(env(self.s), env(self.s + v * _LAG_S)) * (1.0 - min(0.12, abs(self._mood)))
        if v >= ahead:
            return (ahead - v) / _LAG_S
        ratio = v / ahead
        if self._push:
            if ratio < 0.85:
                return self._push
            self._push = 0.0
        return min(self.style.accel * (1.0 - ratio**4), (ahead - v) / 0.6)

    def _following(self, v: float, leader: _Leader) -> float:
        """IDM's interaction term on top of the free road."""
        style = self.style
        wish = _MIN_GAP_M + max(
            0.0, v * style.headway + v * (v - leader.v) / (2 * math.sqrt(style.accel * style.brake))
        )
        free = 1.0 - (v / max(1.0, self.plan.at(self.s))) ** 4
        return style.accel * (free - (wish / max(0.5, leader.gap)) ** 2)

    def _stopping(self, v: float, stop: Stop) -> float:
        """Constant deceleration to the stop line once it is due; +inf before."""
        distance = stop.s - self.s
        if distance > 400.0:
            return math.inf
        need = v * v / (2 * max(0.4, distance))
        if not self._braking and need < (0.9 * stop.brake if v > 0.5 or distance > 1.0 else 0.0):
            return math.inf
        self._braking, self._late = True, stop.late
        return -max(need, 0.3)
