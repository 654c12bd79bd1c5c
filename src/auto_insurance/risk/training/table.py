"""Reads a data set of the documented form, or rows to score, and says exactly what is wrong with it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from auto_insurance.kernel.errors import FieldError
from auto_insurance.risk.training.arrays import Codes, Floats, sum_by
from auto_insurance.risk.training.columns import (
    UNKNOWN,
    Column,
    level_column,
    neighbours,
    numeric_codes,
    numeric_column,
)
from auto_insurance.risk.training.errors import InvalidTable
from auto_insurance.risk.training.spec import FeatureSpec, GroupSpec, TableSpec

CHUNK_ROWS = 200_000
MOST_SEGMENTS = 12
JOINT = " / "
"""Between the values of joined columns."""
_NUMERIC = (pl.Float32, pl.Float64, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)


@dataclass(frozen=True, slots=True)
class Segments:
    """Groups of rows by one column, for the report: each row's group (-1: not known) and what groups are called."""

    name: str
    labels: tuple[str, ...]
    group: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TableData:
    """A data set ready for training: codes by row and feature, exposure, claims, contract."""

    spec: TableSpec
    columns: tuple[Column, ...]
    codes: Codes
    exposure: Floats
    claims: Floats
    groups: NDArray[np.int64]
    segments: tuple[Segments, ...]
    period_end: NDArray[np.datetime64] | None
    """Day on which each row's period ends, where the specification names it."""
    fingerprint: str
    source: str

    def __len__(self) -> int:
        return len(self.claims)

    def take(self, rows: NDArray[np.bool_]) -> TableData:
        """Return the chosen rows, contracts numbered anew; the bins stay as they are."""
        _, groups = np.unique(self.groups[rows], return_inverse=True)
        return replace(
            self,
            codes=self.codes[rows],
            exposure=self.exposure[rows],
            claims=self.claims[rows],
            groups=groups.astype(np.int64),
            period_end=None if self.period_end is None else self.period_end[rows],
            segments=tuple(replace(one, group=one.group[rows]) for one in self.segments),
        )


@dataclass(slots=True)
class Notes:
    """What was replaced while rows were coded, for the message to people."""

    unknown_levels: Counter[str] = field(default_factory=Counter)
    """Rows by ``feature=level``."""
    missing: Counter[str] = field(default_factory=Counter)
    """Rows by optional feature."""


def read_frame(file: Path) -> pl.DataFrame:
    """Read a Parquet or CSV file whole. Raises ``InvalidTable``."""
    try:
        if file.suffix.lower() == ".csv":
            return pl.read_csv(file, infer_schema_length=None)
        return pl.read_parquet(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InvalidTable(f"{file} cannot be read as a table: {_first_line(error)}") from error


def frames(file: Path, rows: int = CHUNK_ROWS) -> Iterator[pl.DataFrame]:
    """Read a Parquet or CSV file in pieces of at most ``rows``, in order. Raises ``InvalidTable``."""
    try:
        lazy = pl.scan_csv(file, infer_schema_length=10_000) if _is_csv(file) else pl.scan_parquet(file)
        yield from lazy.collect_batches(chunk_size=rows, maintain_order=True)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InvalidTable(f"{file} cannot be read as a table: {_first_line(error)}") from error


def _is_csv(file: Path) -> bool:
    return file.suffix.lower() == ".csv"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def table_of(frame: pl.DataFrame, spec: TableSpec, source: str) -> TableData:
    """Check a data set and make its bins. Raises ``InvalidTable`` naming every wrong column."""
    read = [name for feature in spec.features for name in feature.of or (feature.name,)]
    _require(frame, [*read, spec.exposure, spec.claims, *_group_columns(spec.group), *spec.segments])
    if spec.period_end is not None:
        _require(frame, [spec.period_end])
    exposure = exposures(frame, spec.exposure, spec.max_exposure)
    claims = _numbers(frame, spec.claims)
    if (claims < 0).any() or not (claims > 0).any():
        raise InvalidTable(f"Column {spec.claims}: counts must not be negative, and some must be positive.")
    if spec.max_claims is not None:
        claims = np.minimum(claims, spec.max_claims)
    made = [_learn(frame, feature, exposure) for feature in spec.features]
    columns = tuple(column for column, _ in made)
    codes = np.column_stack([codes for _, codes in made]).astype(np.int32)
    digest = fingerprint(columns, codes, exposure, claims)
    segments = tuple(segments_of(frame, name, exposure) for name in spec.segments)
    groups, ends = groups_of(frame, spec.group), _days(frame, spec.period_end)
    return TableData(spec, columns, codes, exposure, claims, groups, segments, ends, digest, source)


def _days(frame: pl.DataFrame, name: str | None) -> NDArray[np.datetime64] | None:
    if name is None:
        return None
    column = frame[name]
    try:
        days = column.str.to_date() if column.dtype == pl.String else column.cast(pl.Date)
    except pl.exceptions.PolarsError as error:
        raise InvalidTable(f"Column {name} must hold days: {_first_line(error)}") from error
    if (wrong := days.is_null().to_numpy()).any():
        raise InvalidTable(f"Column {name}: {_rows(wrong)} missing.")
    return days.to_numpy().astype("datetime64[D]")


def segments_of(frame: pl.DataFrame, name: str, exposure: Floats) -> Segments:
    """Return a column's groups: its values where they are few, bands of about equal exposure of many numbers."""
    column = frame[name]
    if column.dtype in _NUMERIC and column.n_unique() > MOST_SEGMENTS:
        values = _numbers(frame, name)
        _, place = np.unique(values, return_inverse=True)
        share = sum_by(place, exposure, int(place.max()) + 1)
        group = neighbours(share, MOST_SEGMENTS)[place]
        ends = [
            (values[group == number].min(), values[group == number].max()) for number in range(int(group.max()) + 1)
        ]
        return Segments(name, tuple(f"{low:g} to {high:g}" if low < high else f"{low:g}" for low, high in ends), group)
    texts = column.cast(pl.String)
    labels = tuple(sorted(texts.drop_nulls().unique().to_list()))
    return Segments(name, labels, _level_codes(texts, labels).astype(np.int64))


def encode(frame: pl.DataFrame, columns: Sequence[Column], notes: Notes) -> Codes:
    """Return the codes of rows to score, by row and feature. Raises ``InvalidTable`` naming every wrong column."""
    _require(frame, [name for column in columns if not column.optional for name in column.sources])
    coded = []
    for column in columns:
        if any(name not in frame.columns for name in column.sources):
            notes.missing[column.name] += len(frame)
            coded.append(np.full(len(frame), UNKNOWN, np.int32))
        else:
            coded.append(_code(frame, column, notes))
    return np.column_stack(coded).astype(np.int32)


def exposures(frame: pl.DataFrame, name: str, at_most: float | None) -> Floats:
    """Return the exposure of each row, capped. Raises ``InvalidTable`` unless all are positive and finite."""
    _require(frame, [name])
    values = _numbers(frame, name)
    if (wrong := ~(values > 0)).any():
        raise InvalidTable(f"Column {name}: {_rows(wrong)} not positive.")
    return values if at_most is None else np.minimum(values, at_most)


def groups_of(frame: pl.DataFrame, group: GroupSpec | None) -> NDArray[np.int64]:
    """Return the number of each row's contract; every row its own where the specification has no groups."""
    if group is None:
        return np.arange(len(frame), dtype=np.int64)
    order = frame[group.order_by].arg_sort()
    keys = group.equal or (group.order_by,)
    first = np.zeros(len(frame), dtype=bool)
    for name in keys:
        column = frame[name].gather(order)
        first |= column.ne_missing(column.shift(1)).to_numpy()
    if len(first):
        first[0] = True
    found = np.empty(len(frame), dtype=np.int64)
    found[order.to_numpy()] = np.cumsum(first) - 1
    return found


def fingerprint(columns: Sequence[Column], codes: Codes, exposure: Floats, claims: Floats) -> str:
    """Return the SHA-256 of what a model is fitted on: names, bins, codes, exposure and claims, in row order."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update(repr((column.name, column.edges, column.levels)).encode())
    for array, kind in ((codes, "<i4"), (exposure, "<f8"), (claims, "<f8")):
        digest.update(np.ascontiguousarray(array, dtype=kind).tobytes())
    return digest.hexdigest()


def _group_columns(group: GroupSpec | None) -> tuple[str, ...]:
    return () if group is None else (group.order_by, *group.equal)


def _require(frame: pl.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in dict.fromkeys(names) if name not in frame.columns]
    if missing:
        errors = [FieldError(name, "missing_column", "is missing") for name in missing]
        raise InvalidTable(f"Columns are missing: {', '.join(missing)}.", errors=errors)


def _rows(wrong: NDArray[np.bool_]) -> str:
    count = int(wrong.sum())
    return f"{count:,} of {len(wrong):,} values (first in row {int(np.argmax(wrong)) + 1}) are"


def _numbers(frame: pl.DataFrame, name: str, *, optional: bool = False) -> Floats:
    column = frame[name]
    if column.dtype not in _NUMERIC and not (optional and column.dtype == pl.Null):
        raise InvalidTable(f"Column {name} must hold numbers, not {column.dtype}.")
    values: Floats = column.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)
    wrong = np.isinf(values) if optional else ~np.isfinite(values)
    if wrong.any():
        raise InvalidTable(f"Column {name}: {_rows(wrong)} missing or not finite.")
    return values


def _texts(frame: pl.DataFrame, name: str, of: Sequence[str], *, optional: bool = False) -> pl.Series:
    """Return the level of each row: of the column, or of the columns that are joined."""
    texts = _level_names(frame, of[0] if of else name)
    for part in of[1:]:
        texts = texts + JOINT + _level_names(frame, part)
    if not optional and (wrong := texts.is_null().to_numpy()).any():
        raise InvalidTable(f"Column {name}: {_rows(wrong)} missing.")
    return texts


def _level_names(frame: pl.DataFrame, name: str) -> pl.Series:
    column = frame[name]
    if column.dtype.is_float() and (column.drop_nulls() % 1 == 0).all():
        column = column.cast(pl.Int64)  # whole numbers that a CSV or a missing value made floats
    if not (column.dtype in {pl.String, pl.Categorical, pl.Enum, pl.Null} or column.dtype.is_integer()):
        raise InvalidTable(f"Column {name} must hold level names, not {column.dtype}.")
    return column.cast(pl.String)


def _learn(frame: pl.DataFrame, spec: FeatureSpec, exposure: Floats) -> tuple[Column, Codes]:
    if spec.kind == "numeric":
        values = _numbers(frame, spec.name, optional=spec.optional)
        column = numeric_column(spec, values, exposure)
        return column, numeric_codes(values, column.edges)
    texts = _texts(frame, spec.name, spec.of, optional=spec.optional)
    levels = spec.levels or tuple(sorted(texts.drop_nulls().unique().to_list()))
    codes = _level_codes(texts, levels)
    if (strange := (codes < 0) & texts.is_not_null().to_numpy()).any():
        raise InvalidTable(f"Column {spec.name}: {_rows(strange)} none of the levels {', '.join(levels)}.")
    return level_column(spec, levels, codes, exposure), codes


def _code(frame: pl.DataFrame, column: Column, notes: Notes) -> Codes:
    if not column.levels:
        values = _numbers(frame, column.name, optional=column.optional)
        codes = numeric_codes(values, column.edges)
        if missing := int((codes < 0).sum()):
            notes.missing[column.name] += missing
        return codes
    texts = _texts(frame, column.name, column.of, optional=column.optional)
    codes = _level_codes(texts, column.levels)
    unknown = codes < 0
    if unknown.any():
        empty = texts.is_null().to_numpy()
        notes.missing[column.name] += int(empty.sum())
        strange = texts.filter(pl.Series(unknown & ~empty)).value_counts()
        for level, count in strange.iter_rows():
            notes.unknown_levels[f"{column.name}={level}"] += count
    return codes


def _level_codes(texts: pl.Series, levels: Sequence[str]) -> Codes:
    places = {level: place for place, level in enumerate(levels)}
    coded = texts.replace_strict(places, default=UNKNOWN, return_dtype=pl.Int32)
    return coded.fill_null(UNKNOWN).to_numpy().astype(np.int32)
