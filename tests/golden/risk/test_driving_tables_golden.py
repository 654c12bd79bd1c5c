"""Predictions of the released model of tables: a changed number is a changed model, and needs another name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from time import process_time

import numpy as np
import polars as pl
import pytest

from auto_insurance.risk.features import BEHAVIOUR, FEATURES_VERSION
from auto_insurance.risk.training.artefact import Artefact, load
from auto_insurance.risk.training.table import Notes, encode
from auto_insurance.risk.training.train import proofs

FOLDER = Path(str(resources.files("auto_insurance.risk").joinpath("data", "driving-1")))
NOTHING: dict[str, float | None] = {feature.name: None for feature in BEHAVIOUR}
CALM = {feature.name: 0.0 for feature in BEHAVIOUR}
EXAMPLES = [
    # what, features, claims per million miles
    ("nothing is known", NOTHING, 4.3319444),
    ("a flawless year", CALM, 1.8173453),
    ("braking 16 per 100 miles", {**NOTHING, "harsh_braking_per_100mi": 16.0}, 4.6356386),
    ("phone in a tenth of the time", {**CALM, "phone_s_per_hour": 360.0}, 2.8567539),
    ("half of the miles at night", {**NOTHING, "night_share": 0.5, "late_night_share": 0.2}, 6.4851405),
    ("everything far beyond what was seen", dict.fromkeys(NOTHING, 3000.0), 170.88826),
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


def test_it_loads_in_less_than_a_tenth_of_a_second() -> None:
    load(FOLDER)
    begun = process_time()
    load(FOLDER)
    assert process_time() - begun < 0.1
