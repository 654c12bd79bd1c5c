"""What a model is given and cannot be is named; what was not observed is not made up."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

from auto_insurance.risk.artefacts import shipped
from auto_insurance.risk.errors import InvalidFeatures
from auto_insurance.risk.features import BEHAVIOUR
from auto_insurance.risk.model import RiskModel
from auto_insurance.risk.scoring import load_model

NAMES = tuple(feature.name for feature in BEHAVIOUR)
SHARE, RATE = "night_share", "harsh_braking_per_100mi"
USUAL: dict[str, float | None] = dict.fromkeys(NAMES, 0.1)


@pytest.fixture(params=shipped())
def model(request: pytest.FixtureRequest) -> RiskModel:
    return load_model(request.param).model


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [(RATE, nan, "not_finite"), (RATE, inf, "not_finite"), (RATE, -0.5, "out_of_range"), (SHARE, 1.5, "out_of_range")],
)
def test_a_value_that_cannot_be_is_named(model: RiskModel, name: str, value: float, code: str) -> None:
    with pytest.raises(InvalidFeatures, match=name) as caught:
        model.predict([USUAL, {**USUAL, name: value}])
    assert [error.field for error in caught.value.errors] == [name]
    assert caught.value.errors[0].code == code


@pytest.mark.parametrize(("name", "value"), [(RATE, inf), (RATE, -0.5), (SHARE, 1.5)])
def test_a_column_with_a_value_that_cannot_be_is_named(model: RiskModel, name: str, value: float) -> None:
    columns = {each: np.full(3, 0.1) for each in model.scored}
    columns[name][1] = value
    with pytest.raises(InvalidFeatures, match=name):
        model.predict_all(columns)


def test_what_was_not_observed_is_unknown_and_has_no_effect(model: RiskModel) -> None:
    (known,) = model.predict([USUAL])
    (partly,) = model.predict([{**USUAL, RATE: None, SHARE: None}])
    (bare,) = model.predict([{}])
    unknown = {part.feature for part in partly.contributions if part.value is None}
    assert unknown == {RATE, SHARE} & set(model.scored)
    assert all(part.log_effect == 0.0 for part in partly.contributions if part.value is None)
    assert {part.log_effect for part in bare.contributions} == {0.0}
    assert known.frequency != partly.frequency


def test_somebody_of_whom_nothing_is_known_is_the_portfolio_s_mean(model: RiskModel) -> None:
    average = model.average()
    assert (average.frequency, average.relativity) == (model.portfolio_frequency, 1.0)
    assert {part.value for part in average.contributions} == {None}
