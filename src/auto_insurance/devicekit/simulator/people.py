"""Who the simulated drivers are: names and the facts that an enrolment asks for. Nobody real is meant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from auto_insurance.devicekit.simulator.habits import Places
from auto_insurance.devicekit.simulator.style import DEFAULT_MIX, STYLES, DriverStyle

_FIRST = (
    "Ada",
    "Ben",
    "Carla",
    "Dmitri",
    "Elena",
    "Farid",
    "Grace",
    "Hugo",
    "Imani",
    "Jonas",
    "Keiko",
    "Liam",
    "Maya",
    "Noah",
    "Olga",
    "Pedro",
    "Quinn",
    "Rosa",
    "Samir",
    "Tess",
    "Uma",
    "Victor",
    "Wendy",
    "Xavier",
    "Yara",
    "Zoe",
    "Amir",
    "Bianca",
    "Caleb",
    "Dalia",
)
_LAST = (
    "Adler",
    "Brooks",
    "Castillo",
    "Diaz",
    "Ellis",
    "Foster",
    "Grant",
    "Hayes",
    "Ibarra",
    "Jensen",
    "Kowalski",
    "Larsen",
    "Mercer",
    "Novak",
    "Okafor",
    "Perry",
    "Quigley",
    "Reyes",
    "Sato",
    "Turner",
    "Underwood",
    "Vargas",
    "Walsh",
    "Xiong",
    "Young",
    "Zimmer",
    "Bauer",
    "Chen",
    "Dalton",
    "Eriksen",
)
_CARS = (
    ("Toyota", "Corolla"),
    ("Honda", "Civic"),
    ("Ford", "F-150"),
    ("Chevrolet", "Equinox"),
    ("Subaru", "Outback"),
    ("Tesla", "Model 3"),
    ("Hyundai", "Elantra"),
    ("Volkswagen", "Golf"),
    ("BMW", "330i"),
    ("Kia", "Sportage"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedVehicle:
    """A car; ``use`` is private, commute or business."""

    make: str
    model: str
    year: int
    use: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDriver:
    """A driver of the fleet with the facts for enrolment. ``declared_annual_mileage`` in statute miles."""

    index: int
    device_id: str
    name: str
    style: DriverStyle
    date_of_birth: date
    licence_date: date
    state: str
    time_zone: str
    vehicle: SimulatedVehicle
    declared_annual_mileage: int
    prior_claims: int
    places: Places
    habit_min: float
    """Minutes by which this driver's working hours lie off the usual ones."""
    simulated: bool = True


def pick_style(rng: Random, mix: dict[str, float] | None) -> DriverStyle:
    """Draw a style by its share; raises ``KeyError`` for an unknown name."""
    shares = mix or DEFAULT_MIX
    names = sorted(shares)
    return STYLES[rng.choices(names, [shares[n] for n in names])[0]]


def name_of(index: int) -> str:
    """Return a name; the first 900 differ, later ones get a numeral."""
    first = _FIRST[index % len(_FIRST)]
    last = _LAST[(index // len(_FIRST) + index) % len(_LAST)]
    again = index // (len(_FIRST) * len(_LAST))
    return f"{first} {last}" + (f" {again + 1}" if again else "")


def dates(rng: Random, style: DriverStyle, on: date) -> tuple[date, date]:
    """Return (date of birth, licence date) of a driver of this style, seen from ``on``; a novice's licence is under
    two years old.
    """
    age_days = rng.randint(style.age_from * 365 + 120, style.age_to * 365 + 350)
    born = on - timedelta(days=age_days)
    if style.name == "novice":
        return born, on - timedelta(days=rng.randint(40, 700))
    licence = born + timedelta(days=rng.randint(16 * 366, 20 * 366))
    return born, min(licence, on - timedelta(days=60))


def vehicle_of(rng: Random, style: DriverStyle, on: date) -> SimulatedVehicle:
    """Draw a car up to twelve years old."""
    make, model = rng.choice(_CARS)
    use = "private" if style.work == "none" else "business" if rng.random() < 0.08 else "commute"
    return SimulatedVehicle(make=make, model=model, year=on.year - rng.randint(0, 12), use=use)


def prior_claims(rng: Random, style: DriverStyle) -> int:
    """Draw the number of earlier claims; more for those who brake late."""
    chance = 0.06 + 2.5 * style.late_brake
    return sum(rng.random() < chance for _ in range(2))


def annual_mileage(
    commute_miles: float, errand_miles: float, evening_miles: float, style: DriverStyle, rng: Random
) -> int:
    """Return the yearly miles that this driver would declare: what the habits come to, off by up to 10 %, to the next
    500.
    """
    commutes = {"office": 0.92 * 260, "nights": 0.94 * 260, "none": 0.0}[style.work]
    yearly = 2 * (commutes * commute_miles + 365 * style.errands * errand_miles + 52 * style.nights_out * evening_miles)
    return max(1000, round(yearly * rng.uniform(0.9, 1.1) / 500) * 500)
