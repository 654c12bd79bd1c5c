from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from auto_insurance.risk.artefacts import load as load_scoring
from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.features import BEHAVIOUR, FEATURES_VERSION
from auto_insurance.risk.training import train as training
from auto_insurance.risk.training.artefact import load
from auto_insurance.risk.training.benchmark import Plan
from auto_insurance.risk.training.errors import InvalidSpec
from auto_insurance.risk.training.portfolio import check_recipe, log_effect, make, read_recipe
from auto_insurance.risk.training.spec import shipped_spec

RECIPE = read_recipe()
CURVE = load_scoring().exposure
ROWS = 100_000


def test_the_same_seed_gives_the_same_drivers() -> None:
    one, other = (make(RECIPE, 0.7, 10_000, rows=500, seed=seed) for seed in (4, 4))
    assert one.frame.equals(other.frame)
    assert not one.frame.equals(make(RECIPE, 0.7, 10_000, rows=500, seed=5).frame)


def test_the_portfolio_is_what_its_recipe_says() -> None:
    made = make(RECIPE, CURVE.exponent, CURVE.reference_miles, rows=60_000, seed=1)
    frame = made.frame
    exposure = frame["exposure_million_miles"].to_numpy()
    expected = made.true_frequency * exposure
    assert np.average(made.true_frequency, weights=exposure) == pytest.approx(RECIPE.portfolio_frequency)
    assert frame["claims"].sum() == pytest.approx(expected.sum(), rel=0.06)
    for name, habit in RECIPE.features.items():
        assert frame[name].mean() == pytest.approx(habit.mean, rel=0.3), name
        if habit.within is not None:
            assert (frame[name] <= frame[habit.within] + 1e-9).all()
    for share in ("night_share", "late_night_share", "rush_hour_share"):
        assert frame[share].max() <= 1  # type: ignore[operator]
    at_night = frame.filter(frame["night_shift"])["night_share"].mean()
    assert at_night > 2 * frame["night_share"].mean()  # type: ignore[operator]
    variance, mean = frame["claims"].var(), frame["claims"].mean()
    assert variance > mean  # type: ignore[operator]


def test_every_behaviour_feature_harms_and_is_trained_on() -> None:
    names = [feature.name for feature in BEHAVIOUR]
    spec = shipped_spec("driving")
    assert sorted(RECIPE.features) == sorted(names) == sorted(feature.name for feature in spec.features)
    assert all(feature.monotone == 1 and feature.optional for feature in spec.features)
    typical = {name: np.array([habit.mean]) for name, habit in RECIPE.features.items()}
    for name in names:
        worse = {**typical, name: typical[name] * 2}
        assert log_effect(RECIPE, worse)[0] > log_effect(RECIPE, typical)[0]


@pytest.mark.parametrize(
    ("feature", "change", "message"),
    [
        ("night_share", {"slope": -1.0}, "slope not negative"),
        ("night_share", {"noise": "loud"}, "noise is count or time"),
        ("night_share", {"loadings": (1.0, 1.0, 0.0, 0.0)}, "more than 1"),
        ("night_share", {"within": "late_night_share"}, "comes later or not at all"),
    ],
)
def test_a_recipe_that_breaks_a_rule_says_where(feature: str, change: dict[str, object], message: str) -> None:
    habit = msgspec.structs.replace(RECIPE.features[feature], **change)
    with pytest.raises(InvalidSpec, match=message):
        check_recipe(msgspec.structs.replace(RECIPE, features={**RECIPE.features, feature: habit}), "x.toml")


def test_unknown_features_are_refused() -> None:
    habit = RECIPE.features["night_share"]
    with pytest.raises(InvalidSpec, match="speed_of_light is no feature"):
        check_recipe(msgspec.structs.replace(RECIPE, features={"speed_of_light": habit}), "x.toml")
    alone = {"night_share": habit}
    with pytest.raises(InvalidSpec, match="together names unknown"):
        check_recipe(msgspec.structs.replace(RECIPE, features=alone), "x.toml")


def quick() -> Plan:
    boost = msgspec.structs.replace(training.DRIVING.pairs_grid[0], learning_rate=0.2)
    plan = replace(training.DRIVING, pairs_grid=(boost,), pair_shares=(), simulated=True, threads=1)
    return replace(plan, grouped_folds=2, bags=1, final_bags=1, rounds=30, bootstrap=3)


def test_training_finds_the_known_truth_again(tmp_path: Path) -> None:
    data = training.reference_data(training.reference_portfolio(CURVE, ROWS))
    bench, champion = training.train(data, quick(), lambda what, done: None)
    truth = training.reference_portfolio(CURVE, 30_000, test=True)
    found = training.recovery(bench.models[champion], truth)
    assert found.share >= 0.97
    assert 0.95 <= found.slope <= 1.05
    written = training.write(bench, champion, tmp_path / "out", found)
    back = load(tmp_path / "out" / "model")
    assert back.about.simulated
    assert back.about.features_version == FEATURES_VERSION
    assert back.about.metrics["recovery_share_of_oracle"] == pytest.approx(found.share)
    assert (np.diff(back.about.reference) > 0).all()
    assert written["champion"] == champion
    proofs = training.proofs(back)
    assert len(proofs) == len(BEHAVIOUR)
    assert all(proof.holds for proof in proofs)
    boosted = bench.models["explainable"]
    assert all(proof.holds for proof in training.proofs(boosted))
    assert training.recovery(boosted, truth).share >= 0.9


def test_what_breaks_its_promise_is_no_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    data = training.reference_data(training.reference_portfolio(CURVE, 3000))
    monkeypatch.setattr(training, "is_sound", lambda artefact: False)
    with pytest.raises(InvalidArtefact, match="keeps every promised direction"):
        training.train(data, replace(quick(), rounds=5), lambda what, done: None)
