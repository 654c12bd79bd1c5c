"""One simulated trip: the drive second by second, and the truth about it for tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from auto_insurance.devicekit.simulator import habits
from auto_insurance.devicekit.simulator.path import Path
from auto_insurance.devicekit.simulator.style import DriverStyle
from auto_insurance.devicekit.simulator.vehicle import DT, Drive, State
from auto_insurance.kernel.units import MS_PER_MPH

HARSH_GATE_MS = 20.0 / 3.6
_MERGE_S = 3.0
_LEAST_STEPS = round(0.6 / DT)


@dataclass(frozen=True, slots=True, kw_only=True)
class TripTruth:
    """What really happened, from the vehicle's own state, not from what the device sent.

    Times in UTC, ``distance_m`` along the road. The harsh counts are runs of at least 0.6 s over 3.0 (brake), 2.5
    (acceleration) and 3.5 m/s2 (corner) above 20 km/h, merged within 3 s. ``speeding_s``: 5 mph or more over the
    limit; ``night_s``: 22-05 local.
    """

    driver_index: int
    trip_id: str
    purpose: str
    start: datetime
    end: datetime
    distance_m: float
    max_speed_ms: float
    harsh_brakes: int
    rapid_accels: int
    harsh_corners: int
    speeding_s: int
    phone_s: int
    night_s: int


class _Runs:
    """Counts runs of steps on which something holds."""

    __slots__ = ("_last_s", "_steps", "count")

    def __init__(self) -> None:
        self.count = 0
        self._steps = 0
        self._last_s = -1e9

    def step(self, t: float, holds: bool) -> None:
        if not holds:
            self._steps = 0
            return
        self._steps += 1
        if self._steps >= _LEAST_STEPS:
            if self._steps == _LEAST_STEPS and t - self._last_s > _MERGE_S:
                self.count += 1
            self._last_s = t


class TripRun:
    """A trip as it is driven. Iterate :meth:`samples` once; :meth:`truth` is there at the end."""

    def __init__(
        self,
        *,
        driver_index: int,
        trip_id: str,
        leg: habits.Leg,
        path: Path,
        style: DriverStyle,
        zone: ZoneInfo,
        seed: str,
    ) -> None:
        local = leg.departs.astimezone(zone)
        rng = Random(f"{seed}:drive")  # noqa: S311 - a simulation, not a secret
        self._phone_rng = Random(f"{seed}:phone")  # noqa: S311
        self._idle_s, self._after_s = rng.randrange(4, 16), rng.randrange(2, 9)
        self._drive = Drive(path, style, rng, habits.traffic(local))
        self._leg, self._style, self._zone = leg, style, zone
        self.trip_id, self.departs = trip_id, leg.departs
        self._index = driver_index
        self._runs = (_Runs(), _Runs(), _Runs())
        self._speeding = self._phone = self._night = self._seconds = 0
        self._top = 0.0
        self._start_s = int(leg.departs.timestamp())
        self._is_night = self._night_at(0)
        self._done = False

    def samples(self) -> Iterator[tuple[int, State, bool, str]]:
        """Yield (second of the trip, state, phone in use, event type) from ignition on to ignition off."""
        phone_left = 0
        second = 0
        last: State | None = None
        for state in self._drive.seconds(self._idle_s, self._observe):
            phone_left = self._use_phone(phone_left)
            self._count(second, state, phone_left > 0)
            yield second, state, phone_left > 0, "ignition_on" if second == 0 else "normal"
            last = state
            second += 1
        for k in range(self._after_s):
            if last is not None:
                self._count(second, last, False)
                yield second, last, False, "ignition_off" if k == self._after_s - 1 else "normal"
            second += 1
        self._seconds = second - 1
        self._done = True

    def truth(self) -> TripTruth:
        """Return the truth; runs the trip to its end if nobody has. Raises ``RuntimeError`` in the middle of an
        iteration.
        """
        if not self._done:
            if self._drive.s > 0.0:
                raise RuntimeError("the trip is still being driven")
            for _ in self.samples():
                continue
        brakes, accels, corners = self._runs
        return TripTruth(
            driver_index=self._index,
            trip_id=self.trip_id,
            purpose=self._leg.purpose,
            start=self._leg.departs,
            end=self._leg.departs + timedelta(seconds=self._seconds),
            distance_m=self._drive.s,
            max_speed_ms=self._top,
            harsh_brakes=brakes.count,
            rapid_accels=accels.count,
            harsh_corners=corners.count,
            speeding_s=self._speeding,
            phone_s=self._phone,
            night_s=self._night,
        )

    def _use_phone(self, left: int) -> int:
        draw, length = self._phone_rng.random(), self._phone_rng.expovariate(1.0)
        if left > 0:
            return left - 1
        return 1 + int(self._style.phone_s * length) if draw < self._style.phone_per_hour / 3600.0 else 0

    def _observe(self, t: float, v: float, a: float, lateral: float) -> None:
        fast = v >= HARSH_GATE_MS
        brakes, accels, corners = self._runs
        brakes.step(t, fast and a <= -3.0)
        accels.step(t, fast and a >= 2.5)
        corners.step(t, fast and abs(lateral) >= 3.5)

    def _count(self, second: int, state: State, phone: bool) -> None:
        self._top = max(self._top, state.v)
        self._speeding += state.v / MS_PER_MPH >= state.limit_mph + 5.0
        self._phone += phone
        # The local hour changes on whole minutes only.
        if (self._start_s + second) % 60 == 0:
            self._is_night = self._night_at(second)
        self._night += self._is_night

    def _night_at(self, second: int) -> bool:
        hour = (self._leg.departs + timedelta(seconds=second)).astimezone(self._zone).hour
        return hour >= 22 or hour < 5
