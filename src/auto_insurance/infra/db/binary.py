"""Rows in PostgreSQL's binary COPY format, straight from arrays: no Python object per row or value.

Format: PostgreSQL manual, COPY, "Binary Format". A row is the number of its fields (int16), then for each field its
length (int32, -1 for NULL) and that many bytes, all big-endian. Rows are laid out in a matrix with room for the
longest value of each column; what is beyond a value's length is then dropped from the whole matrix at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Nulls = NDArray[np.bool_] | None
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH_US = 946_684_800_000_000
"""2000-01-01, from which PostgreSQL counts, in microseconds since 1970."""
CHUNK_ROWS = 4096
"""Rows per matrix: a long text of one row makes room in all of them."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A column of numbers or booleans: float8, float4, int8, int4, int2 or boolean, as its dtype says."""

    values: NDArray[Any]
    null: Nulls = None
    """Where the value is NULL; nowhere if None."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of text, or of jsonb with the prefix ``\\x01`` (its version)."""

    values: Sequence[str | None]
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of text of which row ``i`` is ``names[codes[i]]``."""

    names: Sequence[str]
    codes: NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Nothing:
    """A column of NULL, whatever its type."""


Column = Fixed | Texts | Coded | Nothing


def instants(times_us: NDArray[np.int64]) -> Fixed:
    """Return a timestamptz column of microseconds since 1970."""
    return Fixed(times_us - _EPOCH_US)


def floats(values: NDArray[Any]) -> Fixed:
    """Return a float4 or float8 column in which NaN is NULL."""
    null = np.isnan(values)
    return Fixed(values, null if null.any() else None)


def encode(columns: Sequence[Column], rows: int) -> NDArray[np.uint8]:
    """Return the rows as the body of a binary COPY. All columns have ``rows`` values."""
    # Names are few, and needed in every chunk.
    named = {id(column): _padded(column.names) for column in columns if isinstance(column, Coded)}
    parts = [np.frombuffer(_HEADER, np.uint8)]
    for at in range(0, rows, CHUNK_ROWS):
        some = slice(at, min(at + CHUNK_ROWS, rows))
        chunk = [_part(column, some, named.get(id(column))) for column in columns]
        parts.append(_matrix(chunk, some.stop - some.start))
    return np.concatenate([*parts, np.frombuffer(_TRAILER, np.uint8)])


@dataclass(slots=True)
class _Part:
    """A column's values of some rows: one width for all, and their lengths if these differ (-1: NULL)."""

    values: NDArray[Any] | None
    width: int
    lengths: NDArray[np.int32] | None = None


def _matrix(parts: Sequence[_Part], count: int) -> NDArray[np.uint8]:
    kinds: list[tuple[str, Any]] = [("fields", ">i2")]
    for at, part in enumerate(parts):
        kinds.append((f"length{at}", ">i4"))
        if part.values is not None:
            kinds.append((f"value{at}", part.values.dtype.newbyteorder(">")))
    table = np.empty(count, np.dtype(kinds))
    table["fields"] = len(parts)
    for at, part in enumerate(parts):
        table[f"length{at}"] = part.width if part.lengths is None else part.lengths
        if part.values is not None:
            table[f"value{at}"] = part.values
    matrix = table.view(np.uint8).reshape(count, table.itemsize)
    if all(part.lengths is None for part in parts):
        return matrix.ravel()
    used = np.ones(matrix.shape, np.bool_)
    start = 2
    for part in parts:
        start += 4
        if part.values is not None:
            width = part.values.itemsize
            if part.lengths is not None:
                np.less(np.arange(width, dtype=np.int32), part.lengths[:, None], out=used[:, start : start + width])
            start += width
    return matrix[used]


def _part(column: Column, rows: slice, names: _Part | None) -> _Part:
    if isinstance(column, Fixed):
        values = column.values[rows]
        null = None if column.null is None else column.null[rows]
        if null is None or not null.any():
            return _Part(values, values.itemsize)
        return _Part(values, values.itemsize, np.where(null, np.int32(-1), np.int32(values.itemsize)))
    if isinstance(column, Texts):
        return _padded(column.values[rows], column.prefix)
    if names is not None and names.values is not None and isinstance(column, Coded):
        codes = column.codes[rows]
        return _Part(names.values[codes], names.width, None if names.lengths is None else names.lengths[codes])
    return _Part(None, -1)


def _padded(values: Sequence[str | None], prefix: str = "") -> _Part:
    """Return the texts in UTF-8, padded to one width."""
    missing = None in values
    given = ["" if value is None else prefix + value for value in values] if missing or prefix else values
    try:
        padded = np.array(given, np.bytes_)
    except UnicodeEncodeError:  # this conversion takes ASCII only
        padded = np.array([str(value).encode() for value in given], np.bytes_)
    lengths = np.strings.str_len(padded).astype(np.int32)
    width = int(lengths.max(initial=0))
    if missing:
        lengths[[value is None for value in values]] = -1
    elif width and bool((lengths == width).all()):
        return _Part(padded, width)
    return _Part(padded, width, lengths)
