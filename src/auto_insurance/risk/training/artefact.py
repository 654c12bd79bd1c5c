"""A fitted model as a folder of text files under one checksum list: written whole, refused when anything is amiss.

``manifest.json`` (last written) names the format, the program's version and the SHA-256 of every other file.
``model.json`` says what the model is and what it rests on, ``columns.json`` how values become bins, ``card.md`` what
people should know, and the model itself is ``tables.json`` or ``booster-N.txt`` (LightGBM's text). No pickle, no code.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from auto_insurance import __version__
from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.training.about import About
from auto_insurance.risk.training.arrays import Codes, Floats
from auto_insurance.risk.training.boosting import BoostedModel
from auto_insurance.risk.training.calibrate import Curve, check_curve
from auto_insurance.risk.training.card import card
from auto_insurance.risk.training.columns import Column, check_columns
from auto_insurance.risk.training.tables import TableModel, Term

FORMAT = "auto-insurance-model/1"
MANIFEST = "manifest.json"
MAX_FILES = 200
MAX_FILE_BYTES = 200 * 1024**2
T = TypeVar("T")


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The list of an artefact's files."""

    format: str
    program: str
    sha256: dict[str, str]


class TermFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table: features by name, the shape with the place for unknown, and the entries in row-major order."""

    features: tuple[str, ...]
    shape: tuple[int, ...]
    values: list[float]


class TablesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``tables.json``."""

    intercept: float
    terms: list[TermFile]


class BoosterFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``boosted.json``."""

    intercept: float
    boosters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Artefact:
    """A model that can score: frequencies per unit of exposure."""

    about: About
    model: TableModel | BoostedModel
    curve: Curve

    @property
    def columns(self) -> tuple[Column, ...]:
        """How values become the codes that the model takes."""
        return self.model.columns

    def frequency(self, codes: Codes) -> Floats:
        """Return the expected claims per unit of exposure of each row of codes."""
        frequency: Floats = np.exp(self.curve.apply(self.model.log_frequency(codes)))
        return frequency


def check_free(folder: Path) -> None:
    """Raise ``FileExistsError`` if the folder holds something else than an artefact."""
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is no model; nothing was overwritten.")


def save(folder: Path, artefact: Artefact) -> str:
    """Write the artefact, replacing one that was there, and return its checksum (of the manifest).

    The folder appears whole or not at all. Raises ``OSError`` where it cannot be written, ``FileExistsError`` if it is
    something else than an artefact.
    """
    check_free(folder)
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    files = _files(artefact)
    for name, content in files.items():
        (fresh / name).write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    manifest = _json(Manifest(FORMAT, __version__, sums))
    (fresh / MANIFEST).write_bytes(manifest)
    if folder.exists():
        shutil.rmtree(folder)
    fresh.rename(folder)
    return hashlib.sha256(manifest).hexdigest()


def load(folder: Path) -> Artefact:
    """Read an artefact and check every file of it. Raises ``InvalidArtefact`` with the reason."""
    files = _verified(folder)
    about = _read(files, "model.json", About)
    columns = tuple(_read(files, "columns.json", list[Column]))
    curve = _read(files, "calibration.json", Curve)
    check_columns(columns)
    check_curve(curve)
    if about.kind == "tables":
        return Artefact(about, _tables(_read(files, "tables.json", TablesFile), columns), curve)
    if about.kind == "boosted":
        return Artefact(about, _boosted(files, columns), curve)
    raise InvalidArtefact(f"{folder}: there is no kind of model called {about.kind!r}")


def _files(artefact: Artefact) -> dict[str, bytes]:
    files = {
        "model.json": _json(artefact.about),
        "columns.json": _json(artefact.columns),
        "calibration.json": _json(artefact.curve),
        "card.md": card(artefact.about, artefact.columns).encode(),
    }
    model = artefact.model
    if isinstance(model, TableModel):
        terms = [
            TermFile(
                tuple(model.columns[feature].name for feature in term.features),
                term.values.shape,
                term.values.ravel().tolist(),
            )
            for term in model.terms
        ]
        return files | {"tables.json": msgspec.json.encode(TablesFile(model.intercept, terms))}
    names = tuple(f"booster-{number}.txt" for number in range(1, len(model.boosters) + 1))
    files |= {name: b.model_to_string().encode() for name, b in zip(names, model.boosters, strict=True)}
    return files | {"boosted.json": _json(BoosterFile(model.intercept, names))}


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def _verified(folder: Path) -> Mapping[str, bytes]:
    """Return the files that the manifest lists, each with the checksum that it says."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InvalidArtefact(f"{folder} is no model: it has no {MANIFEST}") from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArtefact(f"{folder}/{MANIFEST} is not what this program writes: {error}") from error
    if manifest.format != FORMAT:
        raise InvalidArtefact(f"{folder}: format {manifest.format!r}; this program reads {FORMAT!r}")
    if len(manifest.sha256) > MAX_FILES:
        raise InvalidArtefact(f"{folder}/{MANIFEST} lists more than {MAX_FILES} files")
    return {name: _checked(folder, name, wanted) for name, wanted in manifest.sha256.items()}


def _checked(folder: Path, name: str, wanted: str) -> bytes:
    file = folder / name
    if Path(name).name != name:
        raise InvalidArtefact(f"{folder}/{MANIFEST} names {name!r}, which is not a file beside it")
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise InvalidArtefact(f"{file} is larger than {MAX_FILE_BYTES:,} bytes")
        content = file.read_bytes()
    except OSError as error:
        raise InvalidArtefact(f"{file} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise InvalidArtefact(f"{file} was changed or damaged: SHA-256 is {found[:12]}..., not {wanted[:12]}...")
    return content


def _read(files: Mapping[str, bytes], name: str, kind: type[T]) -> T:
    if name not in files:
        raise InvalidArtefact(f"{name} is not among the model's files")
    try:
        return msgspec.json.decode(files[name], type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidArtefact(f"{name}: {error}") from error


def _tables(file: TablesFile, columns: tuple[Column, ...]) -> TableModel:
    places = {column.name: place for place, column in enumerate(columns)}
    terms = []
    for term in file.terms:
        if not 1 <= len(term.features) <= 2 or any(name not in places for name in term.features):
            raise InvalidArtefact(f"tables.json: a table of {', '.join(term.features)}: one or two known features")
        features = tuple(places[name] for name in term.features)
        shape = tuple(columns[feature].bins + 1 for feature in features)
        values = np.asarray(term.values, dtype=np.float64)
        if term.shape != shape or values.size != np.prod(shape) or not np.isfinite(values).all():
            raise InvalidArtefact(
                f"tables.json: the table of {', '.join(term.features)} must be finite, of shape {shape}"
            )
        terms.append(Term(features, values.reshape(shape)))
    return TableModel(columns, file.intercept, tuple(terms))


def _boosted(files: Mapping[str, bytes], columns: tuple[Column, ...]) -> BoostedModel:
    import lightgbm  # noqa: PLC0415 - takes a second to load

    listed = _read(files, "boosted.json", BoosterFile)
    boosters = []
    for name in listed.boosters:
        if name not in files:
            raise InvalidArtefact(f"{name} is not among the model's files")
        try:
            booster = lightgbm.Booster(model_str=files[name].decode())
        except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
            raise InvalidArtefact(f"{name} is no LightGBM model: {error}") from error
        if booster.num_feature() != len(columns):
            raise InvalidArtefact(f"{name} takes {booster.num_feature()} features, columns.json has {len(columns)}")
        boosters.append(booster)
    return BoostedModel(columns, listed.intercept, tuple(boosters))
