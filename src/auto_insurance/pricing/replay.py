"""Compares a stored price with the same price made again. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from math import isclose
from uuid import UUID

import msgspec

from auto_insurance.pricing.rating import Line, Rating, Telematics
from auto_insurance.pricing.schemas import Driving, Premium

TOLERANCE = 1e-9
"""Relative: sums of the same trips in another order differ by some last bits, which the price's six decimals drop."""
NEGLIGIBLE = 1e-6
"""In a feature's unit: a spread near zero is the root of a difference of sums, and all of it may be last bits."""
_LINE = ("code", "label", "input", "operation", "factor", "amount_before", "amount_after", "source", "detail")


class Source(StrEnum):
    """What the driving behind a price was made from again."""

    EVENTS = "events"
    FEATURES = "features"
    INPUTS = "inputs"
    NONE = "none"


SAID = {
    Source.EVENTS: "stored driving events, cut into trips again",
    Source.FEATURES: "the stored feature vector: the events themselves are gone or were not asked for",
    Source.INPUTS: "the stored inputs: neither events nor features of the driving are kept any more",
    Source.NONE: "facts alone: no driving is part of this price",
}


class Difference(msgspec.Struct, frozen=True):
    """A place where the price made again is not the stored one."""

    where: str
    stored: str
    again: str


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A price made again, beside the stored one. ``differences`` are in the order of the calculation."""

    premium_id: UUID
    driver_id: str
    version: int
    kind: str
    reason: str
    source: Source
    events: int
    archived_events: int
    trips: int
    plan_version: str
    model_version: str | None
    annual_premium: str
    annual_premium_again: str
    monthly_premium: str
    monthly_premium_again: str
    differences: tuple[Difference, ...]

    @property
    def exact(self) -> bool:
        """Whether the price came out the same, to the cent and in every line."""
        return not self.differences

    @property
    def first(self) -> Difference | None:
        """The first place that differs."""
        return self.differences[0] if self.differences else None


def driving_differences(stored: Driving, again: Driving) -> Iterator[Difference]:
    """Yield where driving differs: trips and miles, features, what the model makes of them."""
    if stored.trip_count != again.trip_count:
        yield Difference("driving: trips", str(stored.trip_count), str(again.trip_count))
    if not _same(stored.miles, again.miles):
        yield Difference("driving: miles", repr(stored.miles), repr(again.miles))
    # Facts of the driver are none of the driving, and a feature that was defined later says nothing of before.
    for name in sorted(stored.features.keys() & again.features.keys()):
        before, after = stored.features[name], again.features[name]
        if not _same(before, after, NEGLIGIBLE):
            yield Difference(f"driving: {name}", repr(before), repr(after))
    for name in ("relativity", "confidence"):
        before, after = getattr(stored, name), getattr(again, name)
        if not _same(before, after):
            yield Difference(f"model {stored.model_version}: {name}", repr(before), repr(after))


def telematics_differences(stored: Telematics, again: Telematics) -> Iterator[Difference]:
    """Yield where what was rated of the driving differs; these are decimals, which must be equal."""
    for name in ("relativity", "credibility", "running_relativity"):
        before, after = getattr(stored, name), getattr(again, name)
        if before != after:
            yield Difference(f"inputs: {name}", str(before), str(after))


def rating_differences(stored: Premium, again: Rating) -> Iterator[Difference]:
    """Yield the first line of the worksheet that differs, then what differs of the amounts."""
    line = first_line(stored.worksheet, again.worksheet)
    if line is not None:
        yield line
    for name in ("annual_premium", "monthly_premium", "currency", "plan_version"):
        before, after = getattr(stored, name), getattr(again, name)
        if before != after:
            yield Difference(name, str(before), str(after))


def first_line(stored: Sequence[Line], again: Sequence[Line]) -> Difference | None:
    """Return the first line and its first field that differ, None if the worksheets are alike."""
    for before, after in zip(stored, again, strict=False):
        for name in _LINE:
            one, other = getattr(before, name), getattr(after, name)
            if one != other:
                return Difference(f"worksheet line {before.step} ({before.code}): {name}", str(one), str(other))
    if len(stored) != len(again):
        place = min(len(stored), len(again)) + 1
        return Difference(f"worksheet line {place}", _code(stored, place), _code(again, place))
    return None


def _code(lines: Sequence[Line], place: int) -> str:
    return lines[place - 1].code if place <= len(lines) else "no such line"


def _same(one: float | None, other: float | None, negligible: float = 1e-12) -> bool:
    if one is None or other is None:
        return one is other
    return isclose(one, other, rel_tol=TOLERANCE, abs_tol=negligible)
