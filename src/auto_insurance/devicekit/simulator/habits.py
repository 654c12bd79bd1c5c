"""The diary of a simulated driver: which ways, at which wall-clock times, on which day.

A day's plan depends on the seed, the driver and the date alone. A day runs from ``day_start_hour`` to the same hour
of the next date, in local wall-clock time (so that a commute stays at 7:40 over a change of daylight saving time),
starts and ends at home, and leaves more than an hour before its end, so that days never overlap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from auto_insurance.devicekit.simulator.network import Network
from auto_insurance.devicekit.simulator.style import DriverStyle

MIN_DWELL_S = 300
_LATEST_ERRAND_MIN = 20.5 * 60


@dataclass(frozen=True, slots=True)
class Places:
    """Node numbers that a driver's life turns about."""

    home: int
    work: int
    errands: tuple[int, ...]
    evening: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Leg:
    """A way to make at ``departs`` (UTC) or, if the one before took long, ``MIN_DWELL_S`` after its end."""

    departs: datetime
    origin: int
    destination: int
    purpose: str


def day_start_hour(style: DriverStyle) -> int:
    """Return the local hour at which a day of this style begins; a night shift belongs to the day on which it began."""
    return 11 if style.work == "nights" else 4


def choose_places(network: Network, style: DriverStyle, rng: Random) -> Places:
    """Choose home, work (about ``commute_km`` away as the crow flies times 1.3) and the usual destinations."""
    town = network.towns[0] if rng.random() < 0.4 else network.towns[rng.randrange(1, len(network.towns))]
    home = rng.choice(town)

    def away(node: int) -> float:
        a, b = network.nodes[home], network.nodes[node]
        return math.hypot(a.x - b.x, a.y - b.y)

    everywhere = [n for t in network.towns for n in t if away(n) > 700.0]
    wish = style.commute_km * 1000.0 / 1.3
    work = min(rng.sample(everywhere, 25), key=lambda n: abs(away(n) - wish))
    near = sorted(rng.sample(everywhere, 30), key=away)
    core = [n for n in network.towns[0] if away(n) > 700.0]
    return Places(home, work, tuple(near[:8]), tuple(rng.sample(core, 4)))


def traffic(local: datetime) -> float:
    """Return how full the roads are, 0 to 1: weekdays 7-9 and 16-19 rush, nights empty."""
    hour = local.hour + local.minute / 60
    if local.weekday() < 5 and (7 <= hour < 9 or 16 <= hour < 19):
        return 0.9
    return 0.05 if hour < 6 or hour >= 22 else 0.35


def plan_day(
    places: Places, style: DriverStyle, day: date, zone: ZoneInfo, rng: Random, habit_min: float
) -> tuple[Leg, ...]:
    """Return the day's legs in order. ``habit_min`` shifts this driver's working hours by minutes."""
    stops: list[tuple[float, int, str]] = []
    if style.work == "office" and day.weekday() < 5 and rng.random() > 0.08:
        free_from = _office(stops, places, rng, habit_min)
    elif style.work == "nights":
        free_from = 13.5 * 60 + rng.uniform(0, 60)
    else:
        free_from = 9.0 * 60 + rng.uniform(0, 150)
    weekend = 1.3 if day.weekday() >= 5 else 1.0
    free_from = _errands(stops, places, rng, style.errands * weekend, free_from)
    if style.work == "nights" and day.weekday() not in (4, 5) and rng.random() > 0.06:
        stops.append((max(free_from, 22.3 * 60 + habit_min / 2 + rng.uniform(-10, 10)), places.work, "commute"))
        stops.append((28.2 * 60 + rng.uniform(0, 40), places.home, "commute"))
    else:
        _evening(stops, places, rng, style.nights_out, day.weekday(), free_from)
    return _legs(stops, places.home, day, zone)


def _office(stops: list[tuple[float, int, str]], places: Places, rng: Random, habit_min: float) -> float:
    stops.append((7.6 * 60 + habit_min + rng.gauss(0, 8), places.work, "commute"))
    if rng.random() < 0.15:
        stops.append((12.0 * 60 + rng.uniform(0, 30), rng.choice(places.errands), "errand"))
        stops.append((12.9 * 60 + rng.uniform(0, 15), places.work, "errand"))
    leave = 16.9 * 60 + habit_min + rng.gauss(0, 22)
    stops.append((leave, places.home, "commute"))
    return leave + 65 + rng.uniform(0, 40)


def _errands(stops: list[tuple[float, int, str]], places: Places, rng: Random, mean: float, free_from: float) -> float:
    count = min(3, int(mean) + (rng.random() < mean % 1.0))
    for _ in range(count):
        if free_from > _LATEST_ERRAND_MIN - 90:
            break
        stops.append((free_from, rng.choice(places.errands), "errand"))
        stops.append((free_from + 35 + rng.uniform(5, 45), places.home, "errand"))
        free_from = stops[-1][0] + 50 + rng.uniform(0, 120)
    return free_from


def _evening(
    stops: list[tuple[float, int, str]], places: Places, rng: Random, nights_out: float, weekday: int, free_from: float
) -> None:
    # Fridays and Saturdays count three times an ordinary evening: 5 x 1 + 2 x 3 = 11 shares a week.
    chance = min(0.95, nights_out / 11.0 * (3.0 if weekday in (4, 5) else 1.0))
    if rng.random() < chance:
        out = max(free_from, 20.2 * 60 + rng.uniform(0, 60))
        stops.append((out, rng.choice(places.evening), "night_out"))
        stops.append((max(out + 75, rng.uniform(22.8, 25.7) * 60), places.home, "night_out"))


def _legs(stops: list[tuple[float, int, str]], home: int, day: date, zone: ZoneInfo) -> tuple[Leg, ...]:
    legs: list[Leg] = []
    here = home
    midnight = datetime.combine(day, time())  # wall-clock time: the zone comes after the addition
    for minutes, to, purpose in stops:
        if to == here:
            continue
        local = midnight + timedelta(seconds=round(minutes * 60))
        legs.append(Leg(local.replace(tzinfo=zone).astimezone(UTC), here, to, purpose))
        here = to
    return tuple(legs)
