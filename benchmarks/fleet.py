"""A fleet that drives at 1 Hz, made by numpy: plausible movement of any number of devices, a million events a second.

Speed and heading are smooth functions of time with each device's own periods; positions are their integral plus noise
of the receiver. Every 20 minutes a device parks for three: ignition off, still, ignition on. A third have an
accelerometer. The fleet is the same for the same seed, so that what must be stored can be counted beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

CYCLE_S, DRIVE_S, RAMP_S = 1200, 1020, 20
METRES_PER_DEGREE = 111_320.0
MPH = 0.44704
G = 9.80665
KINDS = ("normal", "harsh_brake", "ignition_on", "ignition_off")
NORMAL, HARSH, ON, OFF = range(4)
HARSH_SHARE = 0.0005


def device_name(number: int) -> str:
    """Return a device's id; all are of equal length."""
    return f"BD{number:05d}"


def driver_name(number: int) -> str:
    """Return the id of the driver who has device ``number``."""
    return f"DRV{number:05d}"


@dataclass(slots=True)
class Span:
    """A stretch of time of the whole fleet: arrays of shape (devices, seconds)."""

    second: Ints
    """Seconds since the epoch; devices are staggered."""
    phase_ms: Ints
    """Of each device, (devices, 1): where in the second it samples."""
    latitude: Floats
    longitude: Floats
    speed_mph: Floats
    heading: Ints
    accuracy: Ints
    accel_g: Floats
    lateral_g: Floats
    kind: NDArray[np.int8]

    @property
    def devices(self) -> int:
        """How many devices."""
        return len(self.second)


class Fleet:
    """``devices`` from number ``first`` on. ``stagger_s``: device d begins d modulo so many seconds after the first."""

    def __init__(self, devices: int, start_s: int, *, first: int = 0, stagger_s: int = 1, seed: int = 1) -> None:
        self._rng = np.random.default_rng(seed)
        self.devices = devices
        self.number = first + np.arange(devices)[:, None]
        self._next = start_s + self.number % stagger_s
        self.phase_ms = (self.number * 7919) % 1000
        draw = self._rng.uniform
        one = (devices, 1)
        self._top = draw(8.0, 30.0, one)
        self._period, self._shift = draw(60.0, 180.0, one), draw(0.0, 2 * np.pi, one)
        self._heading, self._bend = draw(0.0, 360.0, one), draw(90.0, 300.0, one)
        self._park = self._rng.integers(0, CYCLE_S, one)
        self._lat, self._lon = draw(32.0, 46.0, one), draw(-120.0, -75.0, one)
        self.sensor = self.number % 3 == 0

    def next(self, seconds: int) -> Span:
        """Return the next stretch; each begins where the one before ended."""
        t = self._next + np.arange(seconds)[None, :]
        self._next = self._next + seconds
        cycle = (t + self._park) % CYCLE_S
        ramp = np.clip(cycle / RAMP_S, 0, 1) * np.clip((DRIVE_S - cycle) / RAMP_S, 0, 1)
        wave = 2 * np.pi * t / self._period + self._shift
        speed = ramp * self._top * (0.55 + 0.45 * np.sin(wave))
        # Straight for half of the time, then a bend and back.
        turn = 2 * np.pi * t / self._bend + self._shift
        heading = self._heading + 70 * np.maximum(0.0, np.sin(turn))
        north = speed * np.cos(np.radians(heading)) / METRES_PER_DEGREE
        east = speed * np.sin(np.radians(heading)) / (METRES_PER_DEGREE * np.cos(np.radians(self._lat)))
        latitude = self._lat + np.cumsum(north, axis=1)
        longitude = self._lon + np.cumsum(east, axis=1)
        self._lat, self._lon = latitude[:, -1:], longitude[:, -1:]
        noise = self._rng.standard_normal((2, *t.shape)) * (1.5 / METRES_PER_DEGREE)
        return Span(
            second=t,
            phase_ms=self.phase_ms,
            latitude=np.round(latitude + noise[0], 6),
            longitude=np.round(longitude + noise[1], 6),
            speed_mph=np.round(speed / MPH, 1),
            heading=np.round(heading).astype(np.int64) % 360,
            accuracy=3 + (t + self.number) % 5,
            accel_g=np.round(ramp * self._top * 0.45 * np.cos(wave) * 2 * np.pi / self._period / G, 3),
            lateral_g=np.round(speed * np.radians(_bending(turn, self._bend)) / G, 3),
            kind=self._kinds(cycle, speed),
        )

    def _kinds(self, cycle: Ints, speed: Floats) -> NDArray[np.int8]:
        kind = np.zeros(cycle.shape, np.int8)
        kind[(self._rng.random(cycle.shape) < HARSH_SHARE) & (speed > 5)] = HARSH
        kind[cycle == 0] = ON
        kind[cycle == DRIVE_S] = OFF
        return kind


def _bending(turn: Floats, period: Floats) -> Floats:
    """Return degrees per second: the derivative of the heading."""
    rate: Floats = np.where(np.sin(turn) > 0, 70 * np.cos(turn) * 2 * np.pi / period, 0.0)
    return rate


def spans(fleet: Fleet, seconds: int, most: int = 60) -> Iterator[Span]:
    """Yield stretches of at most ``most`` seconds until ``seconds`` are full."""
    for begun in range(0, seconds, most):
        yield fleet.next(min(most, seconds - begun))
