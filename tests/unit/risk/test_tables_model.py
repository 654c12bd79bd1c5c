"""The trained model as scoring uses it: one by one and in columns the same, refusing what cannot be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.risk.artefacts import DEFAULT_MODEL, ScoringModel
from auto_insurance.risk.errors import InvalidArtefact, InvalidFeatures
from auto_insurance.risk.features import BEHAVIOUR
from auto_insurance.risk.packages import pack, read_package
from auto_insurance.risk.scoring import load_model
from auto_insurance.risk.tables_model import FEW
from tests.support.driving_model import write_model

SHIPPED = load_model(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ScoringModel:
    """A model with a table of a pair."""
    return read_package("small-1", pack(write_model(tmp_path_factory.mktemp("models") / "small"))).scoring


def _value(upper: float | None) -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(0, 3000.0 if upper is None else upper)


rows = st.lists(
    st.fixed_dictionaries({feature.name: _value(feature.upper) for feature in BEHAVIOUR}), min_size=1, max_size=FEW + 2
)


@settings(max_examples=40, deadline=None)
@given(rows)
def test_one_by_one_is_all_at_once(small: ScoringModel, some: list[dict[str, float | None]]) -> None:
    for loaded in (SHIPPED, small):
        columns = {name: np.array([np.nan if (v := row[name]) is None else v for row in some]) for name in some[0]}
        found = loaded.model.predict_all(columns)
        for place, row in enumerate(some):
            (one,) = loaded.model.predict([row])
            assert one.frequency == pytest.approx(found.frequency[place], rel=1e-12)
            assert one.relativity == pytest.approx(found.relativity[place], rel=1e-12)
            total = sum(part.log_effect for part in one.contributions)
            assert loaded.model.base_frequency * math.exp(total) == pytest.approx(one.frequency, rel=1e-12)
            for part in one.contributions:
                assert part.log_effect == pytest.approx(found.effects[part.feature][place], rel=1e-12, abs=1e-15)
                assert part.value == row[part.feature]
        together = loaded.model.predict(some)
        assert [one.frequency for one in together] == pytest.approx(found.frequency.tolist(), rel=1e-12)


def test_the_portfolios_mean_is_that_of_its_recipe() -> None:
    """5 claims per million miles; among its drivers the mean lies where few risky ones lift it to."""
    assert SHIPPED.model.portfolio_frequency == pytest.approx(5.0, rel=0.03)
    assert 60 < SHIPPED.scale.score(SHIPPED.model.portfolio_frequency) < 80
    assert SHIPPED.model.average().relativity == 1.0


@pytest.mark.parametrize("count", [1, FEW])
def test_what_cannot_be_is_refused_by_name(count: int) -> None:
    with pytest.raises(InvalidFeatures, match="phone_s_per_hour"):
        SHIPPED.model.predict([{"phone_s_per_hour": 3601.0}] * count)


def test_a_shipped_model_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidArtefact, match="driving-0"):
        load_model("driving-0")
