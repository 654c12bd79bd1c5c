"""Rating tables of a table model, for people and for other rating engines."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from auto_insurance.risk.training.arrays import Floats
from auto_insurance.risk.training.columns import Column
from auto_insurance.risk.training.tables import TableModel, Term

UNKNOWN_LABEL = "(unknown)"


def export(model: TableModel, folder: Path, exposure_unit: str) -> list[Path]:
    """Write ``base.csv``, one CSV a table and all of it as ``tables.json``; return the files.

    Relativities multiply: the frequency of a risk is the base frequency times one relativity of every table.
    Raises ``OSError``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = float(np.exp(model.intercept))
    texts = {"base.csv": f"base_frequency,per\n{base!r},{exposure_unit}\n"}
    for term in model.terms:
        texts[f"{model.name(term).replace('*', '-x-')}.csv"] = _csv(model, term)
    whole = {
        "base_frequency": base,
        "per": exposure_unit,
        "tables": [{"features": model.name(term).split("*"), "rows": _rows(model, term)} for term in model.terms],
    }
    texts["tables.json"] = msgspec.json.format(msgspec.json.encode(whole), indent=1).decode() + "\n"
    files = []
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        files.append(folder / name)
    return files


def labels(column: Column) -> list[str]:
    """Return what the places of a table's axis are called, the last one for unknown."""
    return [*(column.label(bin_) for bin_ in range(column.bins)), UNKNOWN_LABEL]


def _rows(model: TableModel, term: Term) -> list[dict[str, Any]]:
    columns = [model.columns[feature] for feature in term.features]
    names = [labels(column) for column in columns]
    rows = []
    for place in np.ndindex(*term.values.shape):
        effect = float(term.values[place])
        levels = {column.name: names[axis][place[axis]] for axis, column in enumerate(columns)}
        row: dict[str, Any] = {**levels, "log_effect": effect, "relativity": float(np.exp(effect))}
        if len(columns) == 1:
            row["share_of_exposure"] = columns[0].exposure[place[0]] if place[0] < columns[0].bins else 0.0
        rows.append(row)
    return rows


def _csv(model: TableModel, term: Term) -> str:
    rows = _rows(model, term)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def main_effect(model: TableModel, feature: int) -> Floats:
    """Return the log effect of a feature's bins, zeros where the model has no table of it alone."""
    for term in model.terms:
        if term.features == (feature,):
            return term.values[:-1]
    return np.zeros(model.columns[feature].bins)
