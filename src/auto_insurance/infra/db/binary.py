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
_CHUNK_BYTES = 4 * 1024 * 1024
"""Size of a matrix: a long text of one row makes room in all rows of its matrix."""


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
    step = max(64, _CHUNK_BYTES // sum(4 + _width(column) for column in columns))
    parts = [np.frombuffer(_HEADER, np.uint8)]
    parts += [_matrix(columns, slice(at, min(at + step, rows))) for at in range(0, rows, step)]
    return np.concatenate([*parts, np.frombuffer(_TRAILER, np.uint8)])


@dataclass(slots=True)
class _Part:
    """A column's values of some rows: one width for all, and their lengths if these differ (-1: NULL)."""

    values: NDArray[Any] | None
    width: int
    lengths: NDArray[np.int32] | None = None


def _width(column: Column) -> int:
    if isinstance(column, Fixed):
        return column.values.itemsize
    if isinstance(column, Texts):
        # Bytes of UTF-8, estimated: this only decides on the number of rows per matrix.
        return max((len(value) for value in column.values if value is not None), default=0)
    return max(map(len, column.names), default=0) if isinstance(column, Coded) else 0


def _matrix(columns: Sequence[Column], rows: slice) -> NDArray[np.uint8]:
    count = rows.stop - rows.start
    parts = [_part(column, rows) for column in columns]
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
    for at, part in enumerate(parts):
        if part.values is not None and part.lengths is not None:
            start = table.dtype.fields[f"value{at}"][1]
            width = part.values.itemsize
            np.less(np.arange(width, dtype=np.int32), part.lengths[:, None], out=used[:, start : start + width])
    return matrix[used]


def _part(column: Column, rows: slice) -> _Part:
    if isinstance(column, Fixed):
        values = column.values[rows]
        null = None if column.null is None else column.null[rows]
        if null is None or not null.any():
            return _Part(values, values.itemsize)
        return _Part(values, values.itemsize, np.where(null, np.int32(-1), np.int32(values.itemsize)))
    if isinstance(column, Texts):
        return _Part(*_padded(column.values[rows], column.prefix))
    if isinstance(column, Coded):
        codes = column.codes[rows]
        names, width, lengths = _padded(column.names, "")
        return _Part(names[codes], width, None if lengths is None else lengths[codes])
    return _Part(None, -1)


def _padded(values: Sequence[str | None], prefix: str) -> tuple[NDArray[np.bytes_], int, NDArray[np.int32] | None]:
    """Return the texts in UTF-8, padded to one width, and their lengths if these differ."""
    given = values
    missing = None in given
    if missing or prefix:
        given = ["" if value is None else prefix + value for value in given]
    # The conversion of a list of text to bytes takes ASCII only; other text is encoded value by value.
    ascii_only = "".join(given).isascii()  # type: ignore[arg-type]
    encoded: Sequence[Any] = given if ascii_only else [value.encode() for value in given]  # type: ignore[union-attr]
    lengths = np.fromiter(map(len, encoded), np.int32, len(encoded))
    width = int(lengths.max(initial=0))
    padded = np.array(encoded, f"S{max(width, 1)}")
    if missing:
        lengths[[value is None for value in values]] = -1
    if width and not missing and bool((lengths == width).all()):
        return padded, width, None
    return padded, width, lengths
