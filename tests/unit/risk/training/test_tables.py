from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auto_insurance.risk.training.boosting import BoostSettings, Trainer, best_round
from auto_insurance.risk.training.collapse import collapse
from auto_insurance.risk.training.columns import Column
from auto_insurance.risk.training.tables import TableModel, Term, add, importance, prove_monotone, purify
from tests.unit.risk.training.support import data_set


def column(name: str, bins: int, *, monotone: int = 0) -> Column:
    share = np.arange(1, bins + 1) / np.arange(1, bins + 1).sum()
    edges = tuple(float(edge) for edge in range(1, bins))
    centres = tuple(float(centre) for centre in range(bins))
    return Column(name, "numeric", monotone, False, (), edges, (), centres, tuple(share.tolist()))


COLUMNS = (column("a", 4), column("b", 3), column("c", 2))


@st.composite
def models(draw: st.DrawFn) -> TableModel:
    """Any model of main effects and pairs; unknown is 0, as everywhere."""
    terms = []
    for features in ((0,), (2,), (0, 1), (1, 2)):
        shape = tuple(COLUMNS[feature].bins for feature in features)
        inner = draw(hnp.arrays(np.float64, shape, elements=st.floats(-2, 2)))
        terms.append(Term(features, np.pad(inner, [(0, 1)] * len(shape))))
    return TableModel(COLUMNS, draw(st.floats(-3, 3)), tuple(terms))


EVERY = np.stack(np.meshgrid(range(4), range(3), range(2), indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int32)


@given(models())
def test_purifying_changes_the_form_and_not_the_function(model: TableModel) -> None:
    pure = purify(model)
    assert pure.log_frequency(EVERY) == pytest.approx(model.log_frequency(EVERY), abs=1e-10)
    for term in pure.terms:
        weights = [np.asarray(COLUMNS[feature].exposure) for feature in term.features]
        inner = term.values[(slice(0, -1),) * len(weights)]
        for axis, weight in enumerate(weights):
            assert np.tensordot(weight, inner, (0, axis)) == pytest.approx(0, abs=1e-10)
    assert purify(pure).intercept == pytest.approx(pure.intercept)


@given(models())
def test_contributions_add_up_and_unknown_is_average(model: TableModel) -> None:
    pure = purify(model)
    total = pure.intercept + pure.contributions(EVERY).sum(axis=1)
    assert total == pytest.approx(pure.log_frequency(EVERY))
    assert pure.log_frequency(np.full((1, 3), -1, np.int32))[0] == pure.intercept
    unknown = EVERY.copy()
    unknown[:, 0] = -1
    weights = np.asarray(COLUMNS[0].exposure)
    for row in unknown[:6]:
        alike = np.array([[bin_, row[1], row[2]] for bin_ in range(4)], np.int32)
        assert pure.log_frequency(row[None, :])[0] == pytest.approx(weights @ pure.log_frequency(alike))


@given(models(), st.integers(0, 2))
def test_the_proof_is_the_exhaustive_search(model: TableModel, feature: int) -> None:
    proof = prove_monotone(model, feature, 1)
    steps = []
    for row in EVERY:
        if row[feature] + 1 < COLUMNS[feature].bins:
            up = row.copy()
            up[feature] += 1
            steps.append(float(np.diff(model.log_frequency(np.array([row, up])))[0]))
    # The proof also covers unknown partners, so that it may only be stricter.
    assert proof.worst <= min(steps) + 1e-12
    if proof.holds:
        assert min(steps) >= -1e-8


def test_proof_by_hand() -> None:
    rising = TableModel(COLUMNS, 0.0, (Term((0,), np.array([0.0, 1, 2, 3, 0])),))
    assert prove_monotone(rising, 0, 1).worst == pytest.approx(1.0)
    assert prove_monotone(rising, 0, 1).steps == 3
    assert not prove_monotone(rising, 0, -1).holds
    assert prove_monotone(rising, 1, 1).holds  # no table of it: constant
    bent = Term((0, 1), np.pad(np.array([[0.0, 0, 0], [-1.5, 0, 0], [0, 0, 0], [0, 0, 0]]), ((0, 1), (0, 1))))
    assert prove_monotone(TableModel(COLUMNS, 0.0, (*rising.terms, bent)), 0, 1).worst == pytest.approx(-0.5)


def test_adding_models_is_the_mean_of_their_logs() -> None:
    one = TableModel(COLUMNS, 1.0, (Term((0,), np.array([1.0, 0, 0, 0, 0])),))
    other = TableModel(COLUMNS, 3.0, (Term((1,), np.array([2.0, 0, 0, 0])),))
    both = add([one, other])
    assert both.log_frequency(EVERY) == pytest.approx((one.log_frequency(EVERY) + other.log_frequency(EVERY)) / 2)
    assert [both.name(term) for term in both.terms] == ["a", "b"]
    assert both.kind == "tables"
    assert importance(one, EVERY, np.ones(len(EVERY)))[0] == pytest.approx(0.25 * 0.75)
    assert TableModel(COLUMNS, 1.0, ()).contributions(EVERY).shape == (24, 0)


def test_collapsed_boosters_are_the_boosters() -> None:
    trainer = Trainer(data_set(3000, seed=2))
    every = np.ones(3000, dtype=bool)
    watch = np.arange(3000) % 10 == 0
    settings = BoostSettings(learning_rate=0.2, num_leaves=6, min_data_in_leaf=20)
    pairs = ((0, 1), (1, 2), (0, 3))
    fits = [trainer.fit(every & ~watch, settings, 40, seed, pairs=pairs, watch=watch) for seed in (1, 2)]
    boosters: list[Any] = [trainer.cut(booster, best_round(curve)) for booster, curve in fits]
    tables = collapse(boosters, trainer.data.columns, float(np.log(trainer.mean)))
    assert {len(term.features) for term in tables.terms} <= {1, 2}
    assert {term.features for term in tables.terms if len(term.features) == 2} <= set(pairs)
    model = trainer.model(boosters)
    assert tables.log_frequency(trainer.data.codes) == pytest.approx(model.log_frequency(trainer.data.codes), abs=1e-12)
    expected = trainer.score(boosters, every)
    assert expected == pytest.approx(trainer.data.exposure * np.exp(tables.log_frequency(trainer.data.codes)))
    assert min(fits[0][1]) == pytest.approx(trainer.deviance(boosters[:1], watch), rel=1e-6)


def test_a_path_of_three_features_is_no_table() -> None:
    class Deep:
        def dump_model(self) -> dict[str, Any]:
            leaf = {"leaf_value": 1.0}
            node: dict[str, Any] = leaf
            for feature in range(3):
                split = {"split_feature": feature, "threshold": 0, "decision_type": "<="}
                node = {**split, "left_child": node, "right_child": leaf}
            return {"tree_info": [{"tree_structure": node}]}

    with pytest.raises(ValueError, match="3 features"):
        collapse([Deep()], COLUMNS, 0.0)


def test_a_tree_of_one_leaf_is_a_constant() -> None:
    class Stump:
        def dump_model(self) -> dict[str, Any]:
            return {"tree_info": [{"tree_structure": {"leaf_value": 0.25}}]}

    assert collapse([Stump()], COLUMNS, 1.0).intercept == 1.25
