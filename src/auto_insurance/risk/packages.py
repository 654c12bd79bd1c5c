"""A trained model as one upload: a zip of an artefact's files, as ``auto-insurance risk train`` leaves them."""

from __future__ import annotations

import io
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from auto_insurance.risk import artefacts
from auto_insurance.risk.artefacts import ScoringModel
from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.tables_model import scoring_model
from auto_insurance.risk.training.about import About
from auto_insurance.risk.training.artefact import load as load_artefact

MAX_FILES = 50
MAX_UNPACKED_BYTES = 64 * 1024**2
CARD = "card.md"


@dataclass(frozen=True, slots=True)
class Package:
    """What an upload holds."""

    about: About
    scoring: ScoringModel
    card: str
    """The model card, empty if none came along."""


def read_package(version: str, content: bytes) -> Package:
    """Unpack, verify and load an uploaded model. Raises ``InvalidArtefact`` with the reason."""
    with tempfile.TemporaryDirectory(prefix="auto-insurance-model-") as name:
        folder = Path(name)
        card = _unpack(version, content, folder)
        artefact = load_artefact(folder)
    default = artefacts.load()
    return Package(
        artefact.about,
        scoring_model(version, artefact, default.exposure, default.half_credibility_miles),
        card,
    )


def load_shipped(name: str) -> ScoringModel:
    """Load a trained model that comes with the program. Raises ``InvalidArtefact``."""
    with resources.as_file(resources.files("auto_insurance.risk").joinpath("data", name)) as folder:
        artefact = load_artefact(folder)
    default = artefacts.load()
    return scoring_model(name, artefact, default.exposure, default.half_credibility_miles)


def pack(folder: Path) -> bytes:
    """Return an artefact's folder as an upload."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            if file.is_file():
                archive.write(file, file.name)
    return buffer.getvalue()


def _unpack(version: str, content: bytes, folder: Path) -> str:
    """Write the files of a zip without folders into ``folder``; return the card's text."""
    card = ""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > MAX_FILES or sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
                raise InvalidArtefact(
                    f"{version}: at most {MAX_FILES} files of together {MAX_UNPACKED_BYTES // 1024**2} MiB"
                )
            for member in members:
                if Path(member.filename).name != member.filename or member.is_dir():
                    raise InvalidArtefact(f"{version}: {member.filename!r} lies in a folder; files only")
                with archive.open(member) as packed:
                    data = packed.read(member.file_size + 1)
                if len(data) > member.file_size:
                    raise InvalidArtefact(f"{version}: {member.filename} is larger than it says")
                (folder / member.filename).write_bytes(data)
                if member.filename == CARD:
                    card = data.decode("utf-8", "replace")
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise InvalidArtefact(f"{version}: is no zip file that can be read: {error}") from error
    return card
