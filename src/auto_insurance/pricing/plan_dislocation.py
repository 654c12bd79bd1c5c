"""Who moves by how much from one plan, or one model, to another: the numbers of a dislocation report.

A driver's price is the premium of a year, with the expected miles where they are charged one by one; fees and taxes are
left out. Shares are fractions: 0.05 is five percent more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from auto_insurance.pricing.plan_parts import RatingPlan
from auto_insurance.pricing.rating_book import RatedBook, rate_book
from auto_insurance.pricing.rating_columns import MILLION, UNKNOWN, BookColumns, Bools, Ints, Texts

QUANTILES = (0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99)
BINS = (-0.5, -0.4, -0.3, -0.2, -0.15, -0.1, -0.05, -0.005, 0.005, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
SAME = 0.005
"""Who moves by less than half a percent stays."""
AGES = (21, 25, 30, 50, 65, 75)
RELATIVITIES = (700_000, 900_000, 1_100_000, 1_400_000)
"""Millionths; the bands of the frequency that the driver's score stands for."""
MOVERS = 10
Shares = NDArray[np.float64]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """How some drivers move together. Money is text, in whole cents."""

    name: str
    policies: int
    old_total: str
    new_total: str
    change: float
    """Of the total; 0 for nobody."""
    quantiles: dict[str, float]
    cheaper: int
    same: int
    dearer: int
    cheaper_by: str
    """The money that those who pay less save together, and ``dearer_by`` what the others pay more."""
    dearer_by: str


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Drivers whose change lies in [above, below); None is open."""

    above: float | None
    below: float | None
    policies: int


class Mover(msgspec.Struct, frozen=True, kw_only=True):
    """One who moves more than nearly all others."""

    key: str
    old: str
    new: str
    change: float


class Dislocation(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report. Drivers that one of the plans does not rate are counted under its reasons and left out."""

    old_version: str
    new_version: str
    policies: int
    refused: dict[str, int]
    overall: Group
    histogram: list[Bin]
    segments: dict[str, list[Group]]
    most_up: list[Mover]
    most_down: list[Mover]


def dislocation(
    old: tuple[RatingPlan, BookColumns], new: tuple[RatingPlan, BookColumns], keys: Sequence[str]
) -> Dislocation:
    """Rate a book by both and compare. The rows of both books are the same drivers, ``keys`` say which."""
    (old_plan, old_book), (new_plan, new_book) = old, new
    before, after = rate_book(old_plan, old_book), rate_book(new_plan, new_book)
    rated = before.rated & after.rated & (before.expected_annual > 0)
    paid, due = before.expected_annual, after.expected_annual
    change = np.where(rated, due / np.where(rated, paid, 1) - 1.0, 0.0)
    return Dislocation(
        old_version=old_plan.version,
        new_version=new_plan.version,
        policies=int(rated.sum()),
        refused=_refused(old_plan.version, before) | _refused(new_plan.version, after),
        overall=_group("all", rated, paid, due, change),
        histogram=_histogram(change[rated]),
        segments={
            name: _segments(names, rows, (rated, paid, due, change)) for name, (names, rows) in _bands(new_book).items()
        },
        most_up=_movers(keys, rated & (change > SAME), paid, due, change, -1),
        most_down=_movers(keys, rated & (change < -SAME), paid, due, change, 1),
    )


def book_fingerprint(book: BookColumns, keys: Sequence[str]) -> str:
    """Return a hash of all inputs of a book in its order."""
    found = sha256()
    for column in (book.relativity, book.credibility, book.running, book.uses_location, *book.numbers.values()):
        found.update(column.tobytes())
    for flags in book.flags.values():
        found.update(flags.tobytes())
    for texts in (book.state, book.coverage, book.product, book.vehicle_use, book.postcode):
        found.update(texts.codes.tobytes() + msgspec.json.encode(texts.names))
    found.update(book.choices.codes.tobytes() + msgspec.json.encode(book.choices.values))
    found.update(msgspec.json.encode([book.alone, list(keys), book.rating_date]))
    return found.hexdigest()


def _refused(version: str, rated: RatedBook) -> dict[str, int]:
    found: dict[str, int] = {}
    for reason in rated.refused.values():
        sentence = f"{version}: {reason}"
        found[sentence] = found.get(sentence, 0) + 1
    return found


def _group(name: str, rows: Bools, paid: Ints, due: Ints, change: Shares) -> Group:
    old, new = int(paid[rows].sum()), int(due[rows].sum())
    moves, money = change[rows], (due - paid)[rows]
    down, up = moves < -SAME, moves > SAME
    levels = np.quantile(moves, QUANTILES) if len(moves) else np.zeros(len(QUANTILES))
    return Group(
        name=name,
        policies=len(moves),
        old_total=_money(old),
        new_total=_money(new),
        change=round(new / old - 1.0, 6) if old else 0.0,
        quantiles={f"{level:.2f}": round(float(value), 6) for level, value in zip(QUANTILES, levels, strict=True)},
        cheaper=int(down.sum()),
        same=int((~down & ~up).sum()),
        dearer=int(up.sum()),
        cheaper_by=_money(-int(money[down].sum())),
        dearer_by=_money(int(money[up].sum())),
    )


def _histogram(change: Shares) -> list[Bin]:
    counts = np.bincount(np.searchsorted(np.array(BINS), change, side="right"), minlength=len(BINS) + 1)
    edges: list[float | None] = [None, *BINS, None]
    return [Bin(above=edges[index], below=edges[index + 1], policies=int(count)) for index, count in enumerate(counts)]


def _segments(names: Sequence[str], of: Ints, numbers: tuple[Bools, Ints, Ints, Shares]) -> list[Group]:
    rated, paid, due, change = numbers
    found = (_group(name, rated & (of == index), paid, due, change) for index, name in enumerate(names))
    return [group for group in found if group.policies]


def _bands(book: BookColumns) -> Mapping[str, tuple[Sequence[str], Ints]]:
    """Return the segments: names, and by row which of them it is."""
    ages = book.numbers["driver_age"]
    age_names = [f"under {AGES[0]}", *_between(AGES, str), f"{AGES[-1]} and older", "unknown"]
    age = np.where(ages == UNKNOWN, len(age_names) - 1, np.searchsorted(AGES, ages, side="right"))
    shown = [f"{bound / MILLION:.2f}" for bound in RELATIVITIES]
    score_names = [f"under {shown[0]}", *(f"{a} - {b}" for a, b in pairwise(shown))]
    score_names += [f"{shown[-1]} and more", "no score"]
    unscored = book.credibility == 0
    score = np.searchsorted(RELATIVITIES, book.relativity, side="right")
    return {
        "state": _named(book.state),
        "age": (age_names, age),
        "product": _named(book.product),
        "package": _named(book.coverage),
        "frequency relativity of the score": (score_names, np.where(unscored, len(score_names) - 1, score)),
    }


def _between(bounds: Sequence[int], text: Callable[[int], str]) -> list[str]:
    return [f"{text(low)} - {text(high - 1)}" for low, high in pairwise(bounds)]


def _named(texts: Texts) -> tuple[Sequence[str], Ints]:
    names = sorted({name or "unknown" for name in texts.names})
    places = np.array([*(names.index(name or "unknown") for name in texts.names), 0], np.int64)
    return names, places[texts.codes]


def _movers(keys: Sequence[str], rows: Bools, paid: Ints, due: Ints, change: Shares, sign: int) -> list[Mover]:
    chosen = np.flatnonzero(rows)
    first = chosen[np.lexsort((chosen, sign * change[chosen]))][:MOVERS]
    return [
        Mover(key=keys[row], old=_money(int(paid[row])), new=_money(int(due[row])), change=round(float(change[row]), 6))
        for row in first.tolist()
    ]


def _money(cents: int) -> str:
    sign, whole = ("-", -cents) if cents < 0 else ("", cents)
    return f"{sign}{whole // 100}.{whole % 100:02d}"
