"""A book of rating inputs as columns of numbers, for rating all of it at once.

Decimals are whole millionths in 64 bits. An input that does not fit is kept as it is and rated by itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from auto_insurance.pricing.rating_inputs import RatingInputs, Telematics

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
UNKNOWN = -(2**62)
"""A whole number that nobody knows."""
MILLION = 1_000_000
NUMBERS = ("driver_age", "licence_years", "vehicle_age", "annual_mileage", "driven_miles", "prior_claims")
FLAGS = ("participating", "mid_term")
MOST = 2**52
"""Whole numbers up to here are exact in a double."""
MOST_RELATIVITY = 5_000 * MILLION
T = TypeVar("T", bound=Hashable)
Choice = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of words: a number for each row, and the words by their number."""

    codes: Ints
    names: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """A column of chosen limits and deductibles."""

    codes: Ints
    values: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class BookColumns:
    """The inputs of a book, row by row the same order in all columns."""

    rating_date: date
    state: Texts
    coverage: Texts
    product: Texts
    vehicle_use: Texts
    postcode: Texts
    choices: Choices
    numbers: Mapping[str, Ints]
    """Whole numbers by their names; ``UNKNOWN`` is None."""
    flags: Mapping[str, Bools]
    relativity: Ints
    credibility: Ints
    running: Ints
    uses_location: Bools
    alone: Mapping[int, RatingInputs] = field(default_factory=dict)
    """Rows whose inputs don't fit into the columns."""

    def __len__(self) -> int:
        return len(self.relativity)

    def inputs(self, row: int) -> RatingInputs:
        """Return a row as the inputs of :func:`auto_insurance.pricing.rating.rate`."""
        if row in self.alone:
            return self.alone[row]
        numbers = {name: int(column[row]) for name, column in self.numbers.items()}
        known = {name: None if value == UNKNOWN else value for name, value in numbers.items()}
        return RatingInputs(
            rating_date=self.rating_date,
            state=_word(self.state, row),
            coverage=_word(self.coverage, row),
            product=_word(self.product, row),
            vehicle_use=self.vehicle_use.names[self.vehicle_use.codes[row]],
            postcode=self.postcode.names[self.postcode.codes[row]],
            choices=dict(self.choices.values[self.choices.codes[row]]),
            driver_age=known["driver_age"],
            licence_years=known["licence_years"],
            vehicle_age=known["vehicle_age"],
            annual_mileage=known["annual_mileage"],
            driven_miles=known["driven_miles"],
            prior_claims=numbers["prior_claims"],
            participating=bool(self.flags["participating"][row]),
            mid_term=bool(self.flags["mid_term"][row]),
            telematics=Telematics(
                relativity=_decimal(self.relativity[row]),
                credibility=_decimal(self.credibility[row]),
                running_relativity=_decimal(self.running[row]),
                uses_location=bool(self.uses_location[row]),
            ),
        )


def of_inputs(book: Sequence[RatingInputs]) -> BookColumns:
    """Return a book as columns. Takes some microseconds a row, more than the rating itself."""
    alone: dict[int, RatingInputs] = {}
    telematics = [inputs.telematics for inputs in book]

    def millionths(values: Iterable[Decimal], most: int) -> Ints:
        return _millionths(values, most, alone, book)

    return BookColumns(
        rating_date=book[0].rating_date if book else date(1970, 1, 1),
        state=_texts([inputs.state for inputs in book]),
        coverage=_texts([inputs.coverage for inputs in book]),
        product=_texts([inputs.product for inputs in book]),
        vehicle_use=_texts([inputs.vehicle_use for inputs in book]),
        postcode=_texts([inputs.postcode for inputs in book]),
        choices=_choices([tuple(sorted(inputs.choices.items())) for inputs in book]),
        numbers={name: _numbers([getattr(inputs, name) for inputs in book], alone, book) for name in NUMBERS},
        flags={name: np.array([getattr(inputs, name) for inputs in book], np.bool_) for name in FLAGS},
        relativity=millionths((t.relativity for t in telematics), MOST_RELATIVITY),
        credibility=millionths((t.credibility for t in telematics), MILLION),
        running=millionths((t.running_relativity for t in telematics), MOST_RELATIVITY),
        uses_location=np.array([t.uses_location for t in telematics], np.bool_),
        alone=alone,
    )


def _word(texts: Texts, row: int) -> str:
    return texts.names[texts.codes[row]] or ""


def _decimal(millionths: np.int64) -> Decimal:
    return Decimal(int(millionths)).scaleb(-6)


def _texts(values: Sequence[str | None]) -> Texts:
    codes, names = _numbered(values)
    return Texts(codes, names)


def _choices(values: Sequence[Choice]) -> Choices:
    codes, known = _numbered(values)
    return Choices(codes, known)


def _numbered(values: Sequence[T]) -> tuple[Ints, tuple[T, ...]]:
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.fromiter(map(numbers.__getitem__, values), np.int64, len(values)), tuple(numbers)


def _numbers(values: Sequence[int | None], alone: dict[int, RatingInputs], book: Sequence[RatingInputs]) -> Ints:
    def fitting(row: int, value: int | None) -> int:
        if value is None:
            return UNKNOWN
        if abs(value) > MOST:
            alone[row] = book[row]
            return UNKNOWN
        return value

    return np.fromiter((fitting(row, value) for row, value in enumerate(values)), np.int64, len(values))


def _millionths(
    values: Iterable[Decimal], most: int, alone: dict[int, RatingInputs], book: Sequence[RatingInputs]
) -> Ints:
    remembered: dict[Decimal, int | None] = {}  # a book has few different ones, or they are quick anyway

    def fitting(value: Decimal) -> int | None:
        if not 0 <= value <= most:  # before it is scaled: an enormous one takes an enormous time
            return None
        whole = int(value * MILLION)
        return whole if Decimal(whole).scaleb(-6) == value and whole <= most else None

    found = np.zeros(len(book), np.int64)
    for row, value in enumerate(values):
        if value not in remembered:
            remembered[value] = fitting(value)
        number = remembered[value]
        if number is None:
            alone[row] = book[row]
        else:
            found[row] = number
    return found
