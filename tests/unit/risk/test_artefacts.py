from __future__ import annotations

import tomllib
from importlib import resources

import msgspec
import pytest

from auto_insurance.risk import artefacts
from auto_insurance.risk.artefacts import Card, check_card, load, read_card, read_population, reference_toml
from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.reference import draw, summarise
from auto_insurance.risk.scorecard import PoissonScorecard


def test_the_shipped_reference_is_what_its_recipe_gives() -> None:
    card, population = read_card("scorecard-1"), read_population("population-1")
    made = reference_toml(population, summarise(population, card.factor, card.model.portfolio_frequency))
    shipped = resources.files("auto_insurance.risk").joinpath("data", "reference-1.toml").read_text(encoding="utf-8")
    ours, theirs = tomllib.loads(made), tomllib.loads(shipped)
    assert made.splitlines()[0] == shipped.splitlines()[0]
    assert ours["balance"] == pytest.approx(theirs["balance"], abs=2e-6)
    assert ours["quantiles"] == pytest.approx(theirs["quantiles"], abs=2e-6)


def test_the_reference_population_is_plausible_and_balanced() -> None:
    loaded, population = load(), read_population("population-1")
    assert isinstance(loaded.model, PoissonScorecard)
    typical = {factor.feature: factor.reference for factor in loaded.model.factors}
    drivers = draw(population, typical)
    assert drivers == draw(population, typical)
    frequencies = [p.frequency for p in loaded.model.predict(drivers)]
    assert sum(frequencies) / len(frequencies) == pytest.approx(loaded.model.portfolio_frequency, rel=1e-5)
    scores = [loaded.scale.score(f) for f in frequencies]
    for bound in (20, 40, 60, 80):
        assert sum(s < bound for s in scores) / len(scores) == pytest.approx(bound / 100, abs=0.01)
    for name, mean in typical.items():
        assert sum(d[name] for d in drivers) / len(drivers) == pytest.approx(mean, rel=0.2)  # bounds cut some
    assert all(d["severe_braking_per_100mi"] <= d["harsh_braking_per_100mi"] for d in drivers)
    assert all(d["late_night_share"] <= d["night_share"] <= 1 for d in drivers)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(InvalidArtefact, match=r"scorecard-999\.toml"):
        load("scorecard-999")


def test_a_file_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidArtefact, match=r"reference-1\.toml: Object contains unknown field|missing required"):
        read_card("reference-1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"features": "other-1"}}, "model.features is other-1"),
        ({"model": {"portfolio_frequency": 0.0}}, "must be positive"),
        ({"exposure": {"exponent": 1.5}}, "exponent must be in"),
        ({"factor": {"slope": -0.1}}, "factor harsh_braking_per_100mi: needs slope >= 0"),
        ({"factor": {"cap": 1.0}}, "reference <= cap"),
        ({"factor": {"feature": "exposure_miles"}}, "each at most once"),
    ],
)
def test_a_card_that_breaks_a_rule_says_where(change: dict[str, dict[str, object]], message: str) -> None:
    raw = msgspec.to_builtins(read_card("scorecard-1"))
    for table, fields in change.items():
        (raw[table][0] if table == "factor" else raw[table]).update(fields)
    with pytest.raises(InvalidArtefact, match=message):
        check_card(msgspec.convert(raw, Card), "card.toml")


def test_a_reference_that_does_not_rise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = artefacts._convert

    def broken(file: str, kind: type[object]) -> object:
        found = real(file, kind)
        if isinstance(found, artefacts.ReferencePart):
            return msgspec.structs.replace(found, quantiles=[2.0, 1.0])
        return found

    monkeypatch.setattr(artefacts, "_convert", broken)
    with pytest.raises(InvalidArtefact, match=r"reference-1\.toml: quantiles"):
        load()
