"""A fleet of simulated drivers: who they are, what their devices send, and the truth about it.

Everything is a pure function of the options: any stretch of time can be asked for, in any order, and equals that part
of the whole.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from auto_insurance.devicekit.simulator import habits, people
from auto_insurance.devicekit.simulator.network import Network, Projection, build_network
from auto_insurance.devicekit.simulator.path import Path, build_path
from auto_insurance.devicekit.simulator.people import SimulatedDriver
from auto_insurance.devicekit.simulator.sensor import Sensor, SensorOptions
from auto_insurance.devicekit.simulator.style import STYLES
from auto_insurance.devicekit.simulator.trip import TripRun, TripTruth
from auto_insurance.kernel import clock
from auto_insurance.kernel.units import METRES_PER_MILE

Event = dict[str, Any]
_DWELL = timedelta(seconds=habits.MIN_DWELL_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """What a fleet is. ``mix``: style name to share (default :data:`style.DEFAULT_MIX`); ``reference_date`` is where
    ages are seen from.
    """

    seed: int = 1
    size: int = 20
    mix: dict[str, float] | None = None
    latitude: float = 39.9612
    longitude: float = -82.9988
    time_zone: str = "America/New_York"
    state: str = "OH"
    device_prefix: str = "SIM"
    reference_date: date = date(2026, 1, 1)
    sensor: SensorOptions = field(default_factory=SensorOptions)


class Fleet:
    """The drivers of one set of options. Raises ``ValueError`` for a size below 1 or an unknown style.

    ``device_ids`` gives the devices their names where they are not the fleet's own; they become part of event and
    trip ids.
    """

    def __init__(self, options: FleetOptions, device_ids: Sequence[str] | None = None) -> None:
        if options.size < 1 or (device_ids is not None and len(device_ids) != options.size):
            raise ValueError("a fleet needs at least one driver and as many device ids as drivers")
        unknown = set(options.mix or {}) - set(STYLES)
        if unknown:
            raise ValueError(f"unknown styles: {', '.join(sorted(unknown))}")
        self.options = options
        self._device_ids = device_ids
        self.network: Network = build_network(options.seed)
        self.zone = ZoneInfo(options.time_zone)
        self.projection = Projection(options.latitude, options.longitude)
        self.path: Callable[[int, int, float], Path] = lru_cache(maxsize=1024)(self._build_path)
        self._end: Callable[[int, date, int, habits.Leg], datetime] = lru_cache(maxsize=16384)(self._find_end)

    @property
    def devices(self) -> tuple[str, ...]:
        """The device ids, by driver index."""
        return tuple(d.device_id for d in self._drivers)

    @cached_property
    def _drivers(self) -> tuple[SimulatedDriver, ...]:
        return tuple(self._make_driver(i) for i in range(self.options.size))

    def drivers(self) -> tuple[SimulatedDriver, ...]:
        """Return all drivers, by index."""
        return self._drivers

    def legs(self, index: int, day: date) -> tuple[habits.Leg, ...]:
        """Return a driver's diary of the day that begins on local date ``day``."""
        driver = self._drivers[index]
        rng = self._rng("day", index, day.isoformat())
        return habits.plan_day(driver.places, driver.style, day, self.zone, rng, driver.habit_min)

    def events(self, index: int, from_: datetime, to: datetime | None) -> Iterator[Event]:
        """Yield a driver's events with from_ <= time < to in strictly rising time; without end if ``to`` is None."""
        from_ms, to_ms = _ms_up(from_), None if to is None else _ms_up(to)
        for event in self._events(index, from_):
            t = event["timestamp"]
            if to_ms is not None and t >= to_ms:
                return
            if t >= from_ms:
                yield event

    def stream(
        self, from_: datetime, to: datetime | None, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Event]]:
        """Yield (driver index, event) of all drivers (or of ``indices``) in order of time; memory holds one second
        per driver.
        """
        chosen = range(self.options.size) if indices is None else indices

        def tagged(i: int) -> Iterator[tuple[int, int, Event]]:
            return ((event["timestamp"], i, event) for event in self.events(i, from_, to))

        for _, i, event in heapq.merge(*(tagged(i) for i in chosen), key=lambda item: item[:2]):
            yield i, event

    def truth(self, index: int, from_: datetime, to: datetime) -> Iterator[TripTruth]:
        """Yield the truth about a driver's trips that start in [from_, to)."""
        day = self._first_day(index, from_)
        while self._midnight(day) < to + timedelta(days=1):
            for _, run in self._runs(index, day, None):
                truth = run.truth()
                if from_ <= truth.start < to:
                    yield truth
            day += timedelta(days=1)

    def trace(self, index: int, leg: habits.Leg, number: int) -> Iterator[Event]:
        """Yield the events of one trip outside the diary, such as a load test needs."""
        day = leg.departs.date()
        run = self._run(index, day, number, leg)
        yield from _sensed(self._sensor(index, day, number, run.trip_id), run)

    def _events(self, index: int, from_: datetime) -> Iterator[Event]:
        day = self._first_day(index, from_)
        while True:
            for sensor, run in self._runs(index, day, from_):
                yield from _sensed(sensor, run)
            day += timedelta(days=1)

    def _runs(self, index: int, day: date, from_: datetime | None) -> Iterator[tuple[Sensor, TripRun]]:
        """Yield the trips of a day that end at ``from_`` or later; each leaves some minutes after the one before has
        ended.
        """
        free = self._midnight(day)
        for number, leg in enumerate(self.legs(index, day)):
            leg = replace(leg, departs=max(leg.departs, free))  # noqa: PLW2901 - the same leg, later
            if from_ is not None and leg.departs < from_:
                end = self._end(index, day, number, leg)
                if end < from_:
                    free = end + _DWELL
                    continue
            run = self._run(index, day, number, leg)
            yield self._sensor(index, day, number, run.trip_id), run
            free = run.truth().end + _DWELL

    def _find_end(self, index: int, day: date, number: int, leg: habits.Leg) -> datetime:
        return self._run(index, day, number, leg).truth().end

    def _run(self, index: int, day: date, number: int, leg: habits.Leg) -> TripRun:
        driver = self._drivers[index]
        return TripRun(
            driver_index=index,
            trip_id=f"{driver.device_id}-{day:%Y%m%d}-{number}",
            leg=leg,
            path=self.path(leg.origin, leg.destination, driver.style.motorway_cost),
            style=driver.style,
            zone=self.zone,
            seed=f"{self.options.seed}:{index}:{day.isoformat()}:{number}",
        )

    def _sensor(self, index: int, day: date, number: int, trip_id: str) -> Sensor:
        rng = self._rng("sensor", index, f"{day.isoformat()}:{number}")
        return Sensor(self.options.sensor, self.projection, rng, self._drivers[index].device_id, trip_id)

    def _build_path(self, origin: int, destination: int, motorway_cost: float) -> Path:
        return build_path(self.network, self.network.route(origin, destination, motorway_cost), origin)

    def _first_day(self, index: int, from_: datetime) -> date:
        """The day that ``from_`` belongs to; days do not overlap."""
        hours = habits.day_start_hour(self._drivers[index].style)
        return (from_.astimezone(self.zone).replace(tzinfo=None) - timedelta(hours=hours)).date()

    def _midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC)

    def _rng(self, purpose: str, index: int, rest: str = "") -> Random:
        return Random(f"{self.options.seed}:{purpose}:{index}:{rest}")  # noqa: S311 - a simulation, not a secret

    def _make_driver(self, index: int) -> SimulatedDriver:
        o = self.options
        rng = self._rng("driver", index)
        style = people.pick_style(rng, o.mix)
        places = habits.choose_places(self.network, style, rng)
        born, licence = people.dates(rng, style, o.reference_date)
        return SimulatedDriver(
            index=index,
            device_id=self._device_ids[index] if self._device_ids else f"{o.device_prefix}{index + 1:05d}",
            name=people.name_of(index),
            style=style,
            date_of_birth=born,
            licence_date=licence,
            state=o.state,
            time_zone=o.time_zone,
            vehicle=people.vehicle_of(rng, style, o.reference_date),
            declared_annual_mileage=people.annual_mileage(
                self._miles(places.home, (places.work,), style.motorway_cost),
                self._miles(places.home, places.errands, style.motorway_cost),
                self._miles(places.home, places.evening, style.motorway_cost),
                style,
                rng,
            ),
            prior_claims=people.prior_claims(rng, style),
            places=places,
            habit_min=max(-35.0, min(45.0, rng.gauss(0, 18))),
        )

    def _miles(self, home: int, ends: Sequence[int], motorway_cost: float) -> float:
        """Mean length of the ways from home to each of ``ends``."""
        metres = [
            sum(self.network.edges[n].length_m for n in self.network.route(home, end, motorway_cost)) for end in ends
        ]
        return sum(metres) / len(metres) / METRES_PER_MILE


def _sensed(sensor: Sensor, run: TripRun) -> Iterator[Event]:
    start_ms = clock.to_us(run.departs) // 1000
    for second, state, phone, kind in run.samples():
        event = sensor.event(start_ms + second * 1000, state, phone, kind)
        if event is not None:
            yield event


def _ms_up(at: datetime) -> int:
    """Milliseconds since the epoch, rounded up, so that no event before ``at`` gets in."""
    return -(-clock.to_us(at) // 1000)
