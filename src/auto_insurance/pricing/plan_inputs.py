"""Reads rating inputs from a CSV or Parquet file: one driver a row, columns by the names of the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from auto_insurance.pricing.errors import UnusableInputs
from auto_insurance.pricing.rating_columns import MILLION
from auto_insurance.pricing.rating_inputs import RatingInputs, Telematics

if TYPE_CHECKING:
    import polars as pl


KEYS = ("policy_id", "driver_id", "key")
NEEDED = ("state", "coverage")
WHOLE = ("driver_age", "licence_years", "vehicle_age", "annual_mileage", "prior_claims", "driven_miles")
TEXTS = ("state", "coverage", "vehicle_use", "product", "postcode")
FLAGS = ("participating", "mid_term")
MODEL = ("relativity", "credibility", "running_relativity", "uses_location")
NEW_MODEL = ("new_relativity", "new_credibility")
"""What another model makes of the same driver; without them only the plan changes."""
_SIX = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class InputFile:
    """The rows of a file for the old and for the new side of a comparison."""

    keys: list[str]
    old: list[RatingInputs]
    new: list[RatingInputs]


def read_inputs(path: Path, rating_date: date) -> InputFile:
    """Read a file. Raises ``UnusableInputs`` naming column and row, counted from 1 without the heading."""
    frame = _frame(path)
    known = {*KEYS, *NEEDED, *WHOLE, *TEXTS, *FLAGS, *MODEL, *NEW_MODEL}
    if missing := [name for name in NEEDED if name not in frame.columns]:
        raise UnusableInputs(f"{path.name}: column {', '.join(missing)} is missing")
    if unknown := sorted(set(frame.columns) - known):
        raise UnusableInputs(f"{path.name}: not known: {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    key = next((name for name in KEYS if name in frame.columns), None)
    found = InputFile([], [], [])
    for number, row in enumerate(frame.iter_rows(named=True), start=1):
        try:
            old = _inputs(row, rating_date)
            new = msgspec.structs.replace(old, telematics=_telematics(row, newer=True))
        except (ValueError, InvalidOperation, TypeError) as error:
            raise UnusableInputs(f"{path.name}, row {number}: {error}") from error
        found.keys.append(str(row[key]) if key is not None else f"row {number}")
        found.old.append(old)
        found.new.append(new)
    return found


def _frame(path: Path) -> pl.DataFrame:
    import polars as pl  # noqa: PLC0415 - 35 MB that only who reads a file of policies needs

    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnusableInputs(f"{path.name} cannot be read: {error}") from error


def _inputs(row: Mapping[str, Any], rating_date: date) -> RatingInputs:
    whole = {name: _whole(name, row.get(name)) for name in WHOLE}
    given: dict[str, Any] = {name: str(row[name]) for name in TEXTS if row.get(name) is not None}
    given |= {name: _flag(name, row[name]) for name in FLAGS if row.get(name) is not None}
    for name in NEEDED:
        if name not in given:
            raise ValueError(f"{name} is missing")
    return RatingInputs(
        rating_date=rating_date,
        vehicle_use=given.pop("vehicle_use", None),
        telematics=_telematics(row, newer=False),
        driver_age=whole["driver_age"],
        licence_years=whole["licence_years"],
        vehicle_age=whole["vehicle_age"],
        annual_mileage=whole["annual_mileage"],
        driven_miles=whole["driven_miles"],
        prior_claims=whole["prior_claims"] or 0,
        **given,
    )


def _telematics(row: Mapping[str, Any], *, newer: bool) -> Telematics:
    given = {name: row.get(name) for name in ("relativity", "credibility", "running_relativity")}
    for name, newest in zip(("relativity", "credibility"), NEW_MODEL, strict=True):
        if newer and row.get(newest) is not None:
            given[name] = row[newest]
    numbers = {name: _decimal(name, value) for name, value in given.items() if value is not None}
    flag = row.get("uses_location")
    return Telematics(**numbers, uses_location=flag is not None and _flag("uses_location", flag))


def _whole(name: str, value: Any) -> int | None:
    if value is None:
        return None
    number = Decimal(str(value))
    if number != int(number) or not 0 <= number <= MILLION:
        raise ValueError(f"{name} must be a whole number of 0 to {MILLION}, not {value}")
    return int(number)


def _decimal(name: str, value: Any) -> Decimal:
    number = Decimal(str(value))
    if not (number.is_finite() and 0 <= number <= MILLION):
        raise ValueError(f"{name} must be a number of 0 to {MILLION}, not {value}")
    return number.quantize(_SIX, ROUND_HALF_UP)


def _flag(name: str, value: Any) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    text = str(value).strip().lower()
    if text not in words:
        raise ValueError(f"{name} must be true or false, not {value}")
    return words[text]
