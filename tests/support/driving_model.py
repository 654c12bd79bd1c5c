"""A small model of tables over the behaviour features, written as training would leave it."""

from __future__ import annotations

from math import log
from pathlib import Path

import numpy as np

from auto_insurance.risk.features import BEHAVIOUR, FEATURES_VERSION
from auto_insurance.risk.training.about import About
from auto_insurance.risk.training.artefact import Artefact, save
from auto_insurance.risk.training.calibrate import Curve
from auto_insurance.risk.training.columns import Column
from auto_insurance.risk.training.tables import TableModel, Term


def write_model(folder: Path, *, direction: float = 1.0, features_version: str = FEATURES_VERSION) -> Path:
    """Write the model; ``direction`` -1 makes worse driving better."""
    columns = tuple(
        Column(
            name=feature.name,
            kind="numeric",
            monotone=1,
            optional=True,
            edges=tuple(step * (feature.upper or 100.0) / 50.0 for step in (1.0, 5.0, 20.0)),
            of=(),
            levels=(),
            centres=tuple(step * (feature.upper or 100.0) / 50.0 for step in (0.5, 3.0, 12.0, 30.0)),
            exposure=(0.25, 0.25, 0.25, 0.25),
        )
        for feature in BEHAVIOUR
    )
    effects = np.array([-0.1, -0.02, 0.03, 0.09]) * direction
    terms = [Term((place,), np.append(effects, 0.0)) for place in range(len(columns))]
    pair = np.zeros((5, 5))
    pair[3, 3] = 0.05 * direction
    terms.append(Term((0, 1), pair))
    about = About(
        name="small",
        kind="tables",
        data="test portfolio",
        data_fingerprint="0" * 64,
        rows=1,
        simulated=True,
        trained_on="Nothing: made by hand for a test.",
        trained_at="2026-01-01T00:00:00+00:00",
        seed=1,
        exposure="exposure_million_miles",
        exposure_unit="million miles",
        max_exposure=None,
        claims="claims",
        max_claims=None,
        settings={},
        metrics={"deviance_x100": 1.0},
        features_version=features_version,
        reference=tuple(float(step) for step in np.linspace(2.0, 12.0, 21)),
    )
    save(folder, Artefact(about, TableModel(columns, log(5.0), tuple(terms)), Curve()))
    return folder
