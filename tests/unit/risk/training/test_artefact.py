from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.training.about import About, with_metrics
from auto_insurance.risk.training.artefact import MANIFEST, Artefact, Manifest, load, save
from auto_insurance.risk.training.boosting import BoostSettings, Trainer
from auto_insurance.risk.training.calibrate import Curve
from auto_insurance.risk.training.candidates import Boosted, Explainable, Glm, silent
from auto_insurance.risk.training.errors import InvalidTable
from auto_insurance.risk.training.predict import score_file, score_frame
from auto_insurance.risk.training.rating import export, main_effect
from auto_insurance.risk.training.table import Notes
from auto_insurance.risk.training.tables import TableModel
from tests.unit.risk.training.support import data_set, frame

DATA = data_set(2000)
EVERY = np.ones(2000, dtype=bool)
SETTINGS = BoostSettings(learning_rate=0.3, num_leaves=4, min_data_in_leaf=50)


def about(kind: str) -> About:
    return About(
        name="little",
        kind=kind,
        data="little",
        data_fingerprint=DATA.fingerprint,
        rows=len(DATA),
        simulated=True,
        trained_on="Made up.",
        trained_at="2026-01-01T00:00:00+00:00",
        seed=1,
        exposure="years",
        exposure_unit="years",
        max_exposure=1.0,
        claims="claims",
        max_claims=3.0,
        settings={"any": 1},
        metrics={"cv_deviance_x100": 12.5},
    )


@pytest.fixture(scope="module")
def tables() -> Artefact:
    candidate = Explainable(SETTINGS, 30, 1, ((0, 1), (1, 2)))
    return Artefact(about("tables"), candidate.fit(Trainer(DATA), EVERY, 1, silent), Curve())


@pytest.fixture(scope="module")
def boosted() -> Artefact:
    model = Boosted(SETTINGS, 30, 2).fit(Trainer(DATA), EVERY, 1, silent)
    return Artefact(about("boosted"), model, Curve((-3.0, 0.0), (-2.9, 0.1)))


@pytest.mark.parametrize("kind", ["tables", "boosted"])
def test_what_is_written_is_read_back_to_the_last_bit(
    kind: str, tables: Artefact, boosted: Artefact, tmp_path: Path
) -> None:
    artefact = tables if kind == "tables" else boosted
    folder = tmp_path / "model"
    checksum = save(folder, artefact)
    back = load(folder)
    assert (back.frequency(DATA.codes) == artefact.frequency(DATA.codes)).all()
    assert back.about == artefact.about
    assert save(folder, back) == checksum
    assert "simulated" in (folder / "card.md").read_text()
    assert not [file for file in folder.iterdir() if file.suffix == ".pkl"]
    assert list(tmp_path.iterdir()) == [folder]


def test_models_are_in_balance_on_what_they_were_fitted_on(tables: Artefact, boosted: Artefact) -> None:
    for artefact in (tables, replace(boosted, curve=Curve())):
        expected = artefact.frequency(DATA.codes) * DATA.exposure
        assert expected.sum() == pytest.approx(DATA.claims.sum())
    glm = Glm(DATA.spec.glm).fit(Trainer(DATA), EVERY, 1, silent)
    assert isinstance(glm, TableModel)
    assert (np.exp(glm.log_frequency(DATA.codes)) * DATA.exposure).sum() == pytest.approx(DATA.claims.sum())


def test_damage_and_foreign_files_are_refused_with_the_reason(tables: Artefact, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save(folder, tables)

    def refused(match: str) -> None:
        with pytest.raises(InvalidArtefact, match=match):
            load(folder)
        save(folder, tables)

    text = (folder / "tables.json").read_text()
    (folder / "tables.json").write_text(text.replace("0.1", "0.2", 1))
    refused("was changed or damaged: SHA-256")
    (folder / "columns.json").unlink()
    refused(r"columns\.json cannot be read")
    (folder / MANIFEST).write_text("{}")
    refused("is not what this program writes")
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    for changed, match in (
        (msgspec.structs.replace(manifest, format="other/9"), "format 'other/9'"),
        (msgspec.structs.replace(manifest, sha256={"../x": "0"}), "not a file beside it"),
        (msgspec.structs.replace(manifest, sha256={str(i): "0" for i in range(300)}), "more than 200 files"),
        (msgspec.structs.replace(manifest, sha256={}), r"model\.json is not among"),
    ):
        (folder / MANIFEST).write_bytes(msgspec.json.encode(changed))
        refused(match)
    (folder / MANIFEST).unlink()
    with pytest.raises(InvalidArtefact, match=r"is no model: it has no manifest\.json"):
        load(folder)


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Change a file and its checksum, as somebody would who means it."""
    import hashlib

    (folder / name).write_bytes(content)
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    sums = manifest.sha256 | {name: hashlib.sha256(content).hexdigest()}
    (folder / MANIFEST).write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, sha256=sums)))


def test_files_that_contradict_each_other_are_refused(tables: Artefact, boosted: Artefact, tmp_path: Path) -> None:
    one, other = tmp_path / "tables", tmp_path / "boosted"

    def refused(folder: Path, name: str, content: bytes, match: str) -> None:
        save(one, tables)
        save(other, boosted)
        rewrite(folder, name, content)
        with pytest.raises(InvalidArtefact, match=match):
            load(folder)

    odd = msgspec.json.encode(msgspec.structs.replace(tables.about, kind="magic"))
    refused(one, "model.json", odd, "no kind of model called 'magic'")
    refused(one, "model.json", b"{", r"model\.json: ")
    refused(
        one, "tables.json", b'{"intercept":0,"terms":[{"features":["x"],"shape":[2],"values":[1,2]}]}', "one or two"
    )
    short = b'{"intercept":0,"terms":[{"features":["fuel"],"shape":[2],"values":[1,2]}]}'
    refused(one, "tables.json", short, r"must be finite, of shape \(4,\)")
    refused(one, "calibration.json", b'{"raw":[1],"calibrated":[1]}', "calibration")
    refused(other, "booster-1.txt", b"nonsense", r"booster-1\.txt is no LightGBM model")
    refused(other, "boosted.json", b'{"intercept":0,"boosters":["booster-9.txt"]}', r"booster-9\.txt is not among")
    fewer = msgspec.json.encode(boosted.columns[:3])
    refused(other, "columns.json", fewer, r"takes 5 features, columns\.json has 3")


def test_a_folder_of_something_else_is_not_overwritten(tables: Artefact, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="is no model; nothing was overwritten"):
        save(tmp_path, tables)
    assert (tmp_path / "notes.txt").read_text() == "keep me"


@pytest.mark.parametrize(("source", "target"), [("a.parquet", "b.parquet"), ("a.csv", "b.csv"), ("a.csv", "b.parquet")])
def test_a_file_is_scored_row_by_row(tables: Artefact, tmp_path: Path, source: str, target: str) -> None:
    rows = frame(500, 8).with_columns(pl.col("years") * 1.5)
    (rows.write_csv if source.endswith("csv") else rows.write_parquet)(tmp_path / source)
    heard: list[int] = []
    found = score_file(tables, tmp_path / source, tmp_path / target, heard.append)
    back = (pl.read_csv if target.endswith("csv") else pl.read_parquet)(tmp_path / target)
    assert back["row"].to_list() == rows["row"].to_list()
    assert back.columns == [*rows.columns, "expected_claims"]
    alone = score_frame(tables, rows, Notes())["expected_claims"]
    assert back["expected_claims"].to_list() == pytest.approx(alone.to_list())
    assert found.rows == heard[-1] == 500
    assert found.expected == pytest.approx(alone.sum())
    assert found.exposure == pytest.approx(rows["years"].clip(upper_bound=1.0).sum())
    assert {file.name for file in tmp_path.iterdir()} == {source, target}


def test_what_cannot_be_scored_leaves_no_file(tables: Artefact, tmp_path: Path) -> None:
    rows = frame(20, 8)
    for wrong, match in (
        (rows.drop("power"), "Columns are missing: power"),
        (rows.with_columns(expected_claims=1.0), "a column expected_claims already"),
        (rows.with_columns(years=-1.0), "Column years: 20 of 20"),
        (rows.head(0), "has no rows"),
    ):
        wrong.write_parquet(tmp_path / "a.parquet")
        with pytest.raises(InvalidTable, match=match):
            score_file(tables, tmp_path / "a.parquet", tmp_path / "b.parquet")
        assert not (tmp_path / "b.parquet").exists()


def test_a_late_mistake_leaves_no_file_either(
    tables: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = frame(60, 8).with_columns(years=pl.when(pl.col("row") == 59).then(-1.0).otherwise(pl.col("years")))
    rows.write_parquet(tmp_path / "a.parquet")
    from auto_insurance.risk.training import predict

    monkeypatch.setattr(predict, "frames", lambda file: iter([rows[:30], rows[30:]]))
    with pytest.raises(InvalidTable, match="Column years: 1 of 30"):
        score_file(tables, tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]


def test_unknown_levels_count_as_said(tables: Artefact, boosted: Artefact) -> None:
    rows = frame(50, 8)
    steam = rows.with_columns(fuel=pl.lit("steam"))
    notes = Notes()
    assert score_frame(tables, steam, notes)["expected_claims"].is_finite().all()
    assert notes.unknown_levels["fuel=steam"] == 50
    usual = boosted.columns[2].levels[boosted.columns[2].typical]
    engine = boosted.columns[4].levels[boosted.columns[4].typical]
    fuel, power = engine.split(" / ")
    assert boosted.columns[4].of == ("fuel", "power")
    same = score_frame(boosted, steam.with_columns(power=pl.lit(int(power))), Notes())["expected_claims"]
    if fuel == usual:
        known = rows.with_columns(fuel=pl.lit(usual), power=pl.lit(int(power)))
        assert same.to_list() == pytest.approx(score_frame(boosted, known, Notes())["expected_claims"].to_list())


def test_rating_tables_multiply_to_the_frequency(tables: Artefact, tmp_path: Path) -> None:
    model = tables.model
    assert isinstance(model, TableModel)
    files = export(model, tmp_path / "rating", "years")
    assert {"base.csv", "tables.json", "power.csv"} <= {file.name for file in files}
    rows = frame(20, 4)
    expected = score_frame(tables, rows, Notes())["expected_claims"].to_numpy()
    whole = msgspec.json.decode((tmp_path / "rating" / "tables.json").read_bytes())
    found = np.full(20, whole["base_frequency"]) * rows["years"].to_numpy()
    labels = _labels(tables, rows)
    for table in whole["tables"]:
        keyed = {tuple(row[name] for name in table["features"]): row["relativity"] for row in table["rows"]}
        found *= [keyed[tuple(labels[name][place] for name in table["features"])] for place in range(20)]
    assert found == pytest.approx(expected)
    csv = pl.read_csv(tmp_path / "rating" / "power.csv")
    assert csv["power"].to_list()[-2:] == ["> 7.5", "(unknown)"]
    assert csv["share_of_exposure"].sum() == pytest.approx(1.0)
    assert np.log(csv["relativity"].to_numpy()[:-1]) == pytest.approx(main_effect(model, 1))
    assert main_effect(TableModel(model.columns, 0.0, ()), 2).tolist() == [0, 0, 0]


def _labels(artefact: Artefact, rows: pl.DataFrame) -> dict[str, list[str]]:
    from auto_insurance.risk.training.table import encode

    codes = encode(rows, artefact.columns, Notes())
    return {
        column.name: [column.label(code) if code >= 0 else "(unknown)" for code in codes[:, place].tolist()]
        for place, column in enumerate(artefact.columns)
    }


def test_other_figures_change_nothing_else() -> None:
    changed = with_metrics(about("tables"), {"a": 1.0})
    assert changed.metrics == {"a": 1.0}
    assert msgspec.structs.replace(changed, metrics=about("tables").metrics) == about("tables")
