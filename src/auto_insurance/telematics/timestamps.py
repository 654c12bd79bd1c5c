"""Event times off the wire: one at a time, which defines what is right, and many at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from auto_insurance.kernel import clock
from auto_insurance.telematics.limits import MAX_TIMESTAMP_TEXT

NO_TIME = -1
"""What :func:`parse_timestamps` gives for something that is no time."""
_MAX_MS = 253_402_300_799_999
_DAY_US = 86_400_000_000
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
_MONTH_STARTS = (
    np.arange(f"{_FIRST_YEAR}-01", f"{_LAST_YEAR + 1}-02", dtype="datetime64[M]")
    .astype("datetime64[D]")
    .astype(np.int64)
)
"""Days since the epoch of the first of each month, one more than there are, so that each has an end."""
_BULK_MIN = 24
"""Below this many texts of a form one by one is quicker."""

Ints = NDArray[np.int64]


def parse_timestamp(value: str | float) -> int | None:
    """Return microseconds since the epoch of ISO 8601 text with an offset or of milliseconds; None if it is neither."""
    if isinstance(value, str):
        if len(value) > MAX_TIMESTAMP_TEXT:
            return None
        try:
            at = datetime.fromisoformat(value)
            return None if at.tzinfo is None else clock.to_us(at)
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not 0 <= value <= _MAX_MS:  # NaN compares false
        return None
    return value * 1000 if isinstance(value, int) else round(value * 1000)


def parse_timestamps(values: Sequence[str | float]) -> Ints:
    """Return for each value what :func:`parse_timestamp` does, ``NO_TIME`` or another negative number for None."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return _milliseconds(values)
    if kinds == {str}:
        return _texts(values)  # type: ignore[arg-type]
    found = np.empty(len(values), np.int64)
    for kind in kinds:
        places = [place for place, value in enumerate(values) if type(value) is kind]
        chosen = [values[place] for place in places]
        if kind is int:
            found[places] = _milliseconds(chosen)
        elif kind is str:
            found[places] = _texts(chosen)  # type: ignore[arg-type]
        else:
            found[places] = _one_by_one(chosen)
    return found


def _one_by_one(values: Iterable[str | float]) -> Ints:
    parsed = [parse_timestamp(value) for value in values]
    return np.array([NO_TIME if value is None else value for value in parsed], np.int64)


def _milliseconds(values: Sequence[str | float]) -> Ints:
    try:
        found = np.array(values, np.int64)
    except OverflowError:
        return _one_by_one(values)
    known = (found >= 0) & (found <= _MAX_MS)
    return np.where(known, found * 1000, NO_TIME)


def _texts(values: Sequence[str]) -> Ints:
    lengths = set(map(len, values))
    if len(lengths) == 1:
        return _equally_long(values, lengths.pop())
    found = np.empty(len(values), np.int64)
    for length in lengths:
        places = [place for place, value in enumerate(values) if len(value) == length]
        found[places] = _equally_long([values[place] for place in places], length)
    return found


def _equally_long(values: Sequence[str], length: int) -> Ints:
    form = _FORMS.get(length)
    if form is None or len(values) < _BULK_MIN:
        return _one_by_one(values)
    try:
        raw = "".join(values).encode("ascii")
    except UnicodeEncodeError:
        return _one_by_one(values)
    found, sure = _usual(np.frombuffer(raw, np.uint8).reshape(-1, length).T, *form)
    unsure = np.flatnonzero(~sure)
    if len(unsure):
        found[unsure] = _one_by_one(values[place] for place in unsure.tolist())
    return found


_FORMS: dict[int, tuple[int, bool]] = {
    len(f"2026-01-01T00:00:00{fraction}{offset}"): (len(fraction) - 1, offset != "Z")
    for fraction in ("", ".000", ".000000")
    for offset in ("Z", "+00:00")
}
"""Length of a usual text -> (digits of its fraction, whether an offset takes the place of the Z)."""


def _usual(characters: NDArray[np.uint8], digits: int, offset: bool) -> tuple[Ints, NDArray[np.bool_]]:
    """Return times and where they are sure; ``characters`` has a row per place. What is unusual is just not sure."""
    number = characters - np.uint8(ord("0"))  # wraps around: what is no digit is larger than 9
    wide = number.astype(np.int64)

    def two(place: int) -> Ints:
        pair: Ints = wide[place] * 10 + wide[place + 1]
        return pair

    year, month, day = two(0) * 100 + two(2), two(5), two(8)
    hour, minute, second = two(11), two(14), two(17)
    marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")]
    numerals = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]
    fraction = np.zeros_like(year)
    end = 19
    if digits > 0:
        marks.append((end, "."))
        numerals += range(end + 1, end + 1 + digits)
        for place in range(end + 1, end + 1 + digits):
            fraction = fraction * 10 + wide[place]
        fraction *= 10 ** (6 - digits)
        end += digits + 1
    ahead = np.zeros_like(year)
    sure = (year >= _FIRST_YEAR) & (year <= _LAST_YEAR) & (month >= 1) & (month <= 12)
    sure &= (hour < 24) & (minute < 60) & (second < 60)
    if offset:
        marks.append((end + 3, ":"))
        numerals += [end + 1, end + 2, end + 4, end + 5]
        hours, minutes = two(end + 1), two(end + 4)
        minus = characters[end] == ord("-")
        sure &= (hours < 24) & (minutes < 60) & (minus | (characters[end] == ord("+")))
        ahead = np.where(minus, -1, 1) * (hours * 60 + minutes)
    else:
        marks.append((end, "Z"))
    for place, mark in marks:
        sure &= characters[place] == ord(mark)
    sure &= number[numerals].max(axis=0) <= 9
    index = np.where(sure, (year - _FIRST_YEAR) * 12 + month - 1, 0)
    first = _MONTH_STARTS[index]
    sure &= (day >= 1) & (day <= _MONTH_STARTS[index + 1] - first)
    seconds = ((hour * 60 + minute - ahead) * 60 + second) * 1_000_000
    return (first + day - 1) * _DAY_US + seconds + fraction, sure
