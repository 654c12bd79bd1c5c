"""Predictions of the released model of tables: a changed number is a changed model, and needs another name."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources
from pathlib import Path
from time import process_time

import numpy as np
import polars as pl
import pytest

from auto_insurance.risk.artefacts import DEFAULT_MODEL
from auto_insurance.risk.features import BEHAVIOUR, FEATURES_VERSION
from auto_insurance.risk.training.artefact import Artefact, load
from auto_insurance.risk.training.table import Notes, encode
from auto_insurance.risk.training.train import proofs

FOLDER = Path(str(resources.files("auto_insurance.risk").joinpath("data", "driving-2")))
NOTHING: dict[str, float | None] = {feature.name: None for feature in BEHAVIOUR}
CALM = {feature.name: 0.0 for feature in BEHAVIOUR}
PHONE_AT_SPEED = {"phone_s_per_hour": 120.0, "phone_moving_s_per_hour": 90.0, "phone_fast_s_per_hour": 60.0}
EXAMPLES = [
    # what, features, claims per million miles
    ("nothing is known", NOTHING, 4.0794795),
    ("a flawless year", CALM, 1.4494019),
    ("braking 16 per 100 miles", {**NOTHING, "harsh_braking_per_100mi": 16.0}, 4.4531896),
    ("phone in a tenth of the time", {**CALM, "phone_s_per_hour": 360.0}, 1.8328698),
    ("phone at 25 mph and more", {**CALM, **PHONE_AT_SPEED}, 1.8637443),
    ("jerky", {**NOTHING, "jerky_s_per_hour": 200.0}, 5.0157119),
    ("half of the time after two hours", {**NOTHING, "long_drive_share": 0.5}, 4.6276668),
    ("80 mph for a minute of an hour", {**NOTHING, "very_fast_s_per_hour": 60.0}, 4.2591217),
    ("half of the miles at night", {**NOTHING, "night_share": 0.5, "late_night_share": 0.2}, 5.9941866),
    ("everything far beyond what was seen", dict.fromkeys(NOTHING, 3000.0), 294.25164),
]


@pytest.fixture(scope="module")
def artefact() -> Artefact:
    return load(FOLDER)


@pytest.mark.parametrize(("what", "features", "frequency"), EXAMPLES, ids=[row[0] for row in EXAMPLES])
def test_released_predictions(
    artefact: Artefact, what: str, features: dict[str, float | None], frequency: float
) -> None:
    rows = pl.DataFrame([features], schema=dict.fromkeys(features, pl.Float64))
    found = artefact.frequency(encode(rows, artefact.columns, Notes()))
    assert found[0] == pytest.approx(frequency, rel=1e-6), what


def test_it_says_what_it_rests_on_and_keeps_its_promises(artefact: Artefact) -> None:
    assert artefact.about.simulated
    assert artefact.about.features_version == FEATURES_VERSION
    assert artefact.about.exposure_unit == "million miles"
    assert sorted(proof.feature for proof in proofs(artefact)) == sorted(feature.name for feature in BEHAVIOUR)
    assert all(proof.holds for proof in proofs(artefact))
    assert artefact.about.metrics["recovery_share_of_oracle"] >= 0.97
    assert 0.95 <= artefact.about.metrics["recovery_calibration_slope"] <= 1.05
    assert (np.diff(artefact.about.reference) > 0).all()
    assert "The claims behind this model are simulated" in (FOLDER / "card.md").read_text()


def test_scoring_loads_no_training_library() -> None:
    """Each process that serves has the champion: none of them should pay for data frames and boosting."""
    script = (
        "import sys; from auto_insurance.risk.registry import ModelRegistry;"
        "print(ModelRegistry().champion.model.info.version, {'polars', 'lightgbm', 'glum', 'sklearn'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == f"{DEFAULT_MODEL} set()"


def test_it_loads_in_less_than_a_tenth_of_a_second() -> None:
    load(FOLDER)
    begun = process_time()
    load(FOLDER)
    assert process_time() - begun < 0.1
