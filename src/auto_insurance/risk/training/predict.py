"""Scores a file of risks with a fitted model, piece by piece: any size, Parquet or CSV."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from auto_insurance.risk.training.artefact import Artefact
from auto_insurance.risk.training.errors import InvalidTable
from auto_insurance.risk.training.table import Notes, encode, exposures, frames

EXPECTED = "expected_claims"
"""Name of the column that scoring adds: frequency times exposure."""


@dataclass(slots=True)
class Scored:
    """What scoring a file came to."""

    rows: int = 0
    exposure: float = 0.0
    expected: float = 0.0
    notes: Notes = field(default_factory=Notes)


def score_frame(artefact: Artefact, frame: pl.DataFrame, notes: Notes) -> pl.DataFrame:
    """Return the rows with the column ``expected_claims``. Raises ``InvalidTable`` naming what is wrong.

    The exposure is capped as in training. Levels that the model has never seen, and missing values of optional
    features, count as average (tables) or as the most exposed level (boosters); ``notes`` says how many.
    """
    if EXPECTED in frame.columns:
        raise InvalidTable(f"There is a column {EXPECTED} already.")
    codes = encode(frame, artefact.columns, notes)
    exposure = exposures(frame, artefact.about.exposure, artefact.about.max_exposure)
    return frame.with_columns(pl.Series(EXPECTED, artefact.frequency(codes) * exposure, dtype=pl.Float64))


def score_file(
    artefact: Artefact, source: Path, target: Path, tick: Callable[[int], None] = lambda rows: None
) -> Scored:
    """Score a file into another one, row by row the same order. ``tick`` hears the rows done so far.

    Memory is bounded by some pieces. The target appears when it is complete. Raises ``InvalidTable`` naming what is
    wrong, ``OSError`` where the target cannot be written.
    """
    found = Scored()
    pieces = _pieces(artefact, source, found, tick)
    try:
        first = next(pieces)
    except StopIteration:
        raise InvalidTable(f"{source} has no rows.") from None
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.part")
    try:
        _write(first, pieces, fresh, as_csv=target.suffix.lower() == ".csv")
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return found


def _pieces(
    artefact: Artefact, source: Path, found: Scored, tick: Callable[[int], None]
) -> Generator[pl.DataFrame, None, None]:
    for frame in frames(source):
        if frame.is_empty():
            continue
        scored = score_frame(artefact, frame, found.notes)
        found.rows += len(scored)
        found.exposure += float(np.sum(exposures(frame, artefact.about.exposure, artefact.about.max_exposure)))
        found.expected += float(np.sum(scored[EXPECTED].to_numpy()))
        tick(found.rows)
        yield scored


def _write(first: pl.DataFrame, rest: Iterator[pl.DataFrame], file: Path, *, as_csv: bool) -> None:
    """Write the pieces as they come. What stops the reading is raised as it was, not as the engine's error."""
    stopped: list[Exception] = []

    def source(columns: object, predicate: object, rows: object, size: object) -> Iterator[pl.DataFrame]:
        try:
            yield from itertools.chain([first], rest)
        except Exception as error:
            stopped.append(error)
            raise

    lazy = register_io_source(source, schema=first.schema)
    try:
        lazy.sink_csv(file) if as_csv else lazy.sink_parquet(file)
    except pl.exceptions.PolarsError as error:
        if stopped:
            raise stopped[0] from error
        raise InvalidTable(f"{file.name} cannot be written: {error}") from error
