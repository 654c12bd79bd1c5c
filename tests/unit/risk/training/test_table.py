from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.training.arrays import Floats
from auto_insurance.risk.training.columns import check_columns, neighbours, numeric_codes, numeric_column
from auto_insurance.risk.training.errors import InvalidSpec, InvalidTable
from auto_insurance.risk.training.spec import (
    SHIPPED,
    FeatureSpec,
    GroupSpec,
    check_spec,
    parse_spec,
    read_spec,
    shipped_spec,
)
from auto_insurance.risk.training.table import Notes, encode, frames, groups_of, read_frame, segments_of, table_of
from tests.unit.risk.training.support import SPEC_TEXT, data_set, frame, spec


@given(hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6)), st.integers(2, 40))
def test_bins_keep_the_order_and_are_not_too_many(values: Floats, most: int) -> None:
    column = numeric_column(FeatureSpec("x", "numeric", max_bins=most), values, np.ones(len(values)))
    check_columns([column])
    codes = numeric_codes(values, column.edges)
    assert 1 <= column.bins <= most
    assert codes.min() >= 0
    assert codes.max() < column.bins
    assert (np.diff(codes[np.argsort(values)]) >= 0).all()
    assert sum(column.exposure) == pytest.approx(1.0)
    if len(np.unique(values)) <= most:
        distinct = np.unique(values)
        close = np.diff(distinct) <= 1e-9 * np.maximum(1.0, np.abs(distinct[1:]))
        assert close.any() or column.bins == len(distinct)


def test_values_beyond_the_bins_and_unknown_ones() -> None:
    column = numeric_column(FeatureSpec("x", "numeric"), np.array([1.0, 2, 2, 5]), np.array([1.0, 1, 1, 4]))
    assert column.edges == (1.5, 3.5)
    assert column.centres == (1.0, 2.0, 5.0)
    assert column.typical == 2
    assert [column.label(bin_) for bin_ in range(3)] == ["<= 1.5", "<= 3.5", "> 3.5"]
    assert numeric_codes(np.array([-9, 1.5, 99, np.nan]), column.edges).tolist() == [0, 0, 2, -1]
    alone = numeric_column(FeatureSpec("x", "numeric"), np.array([3.0]), np.ones(1))
    assert alone.label(0) == "all"


def test_neighbours_share_the_exposure() -> None:
    assert neighbours(np.array([1.0, 1, 1, 1]), 2).tolist() == [0, 0, 1, 1]
    assert neighbours(np.array([10.0, 1, 1]), 3).tolist() == [0, 1, 1]


def test_columns_that_contradict_themselves_are_refused() -> None:
    good = data_set(50).columns
    for place, change in (
        (0, {"edges": (2.0, 1.0)}),
        (0, {"centres": (1.0,)}),
        (0, {"kind": "categorical"}),
        (2, {"levels": ("a", "a", "b")}),
    ):
        broken = {name: getattr(good[place], name) for name in good[place].__struct_fields__} | change
        with pytest.raises(InvalidArtefact, match="columns: "):
            check_columns([type(good[place])(**broken)])


def test_a_data_set_is_read_as_its_specification_says() -> None:
    data = data_set(400)
    assert len(data) == 400
    assert data.claims.max() <= 3
    assert data.columns[2].levels == ("diesel", "gas", "petrol")
    assert data.columns[3].levels == ("low", "mid", "high")
    assert "diesel / 1" in data.columns[4].levels
    assert [one.name for one in data.segments] == ["fuel", "town"]
    assert len(data.segments[1].labels) <= 12
    half = data.take(np.arange(400) % 2 == 0)
    assert len(half) == len(half.segments[0].group) == 200
    assert half.groups.max() == len(np.unique(half.groups)) - 1
    assert data_set(400).fingerprint == data.fingerprint != data_set(400, seed=3).fingerprint
    assert data.spec.feature("area").monotone == 1
    with pytest.raises(KeyError):
        data.spec.feature("nothing")


def test_days_are_read_from_texts_too() -> None:
    rows = frame(300, 1)
    texts = rows.with_columns(pl.col("until").cast(pl.String))
    one, other = (table_of(each, spec(), "made up").period_end for each in (rows, texts))
    assert one is not None
    assert other is not None
    assert (one == other).all()
    assert data_set(300).take(np.arange(300) < 10).period_end is not None


def test_contracts_are_neighbours_that_are_alike() -> None:
    rows = pl.DataFrame({"id": [5, 1, 2, 9], "a": ["x", "x", "x", "y"], "b": [1, 1, 1, 1]})
    assert groups_of(rows, GroupSpec("id", ("a", "b"))).tolist() == [0, 0, 0, 1]
    assert groups_of(rows, GroupSpec("a")).tolist() == [0, 0, 0, 1]
    assert groups_of(rows, None).tolist() == [0, 1, 2, 3]
    apart = pl.DataFrame({"id": [1, 2, 3], "a": ["x", "y", "x"]})
    assert groups_of(apart, GroupSpec("id", ("a",))).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.col("claims").cast(pl.Int64) - 5, "counts must not be negative"),
        (pl.col("claims") * 0, "some must be positive"),
        (pl.lit(0.0).alias("years"), "Column years: 300 of 300 values"),
        (pl.lit("old").alias("age"), "Column age must hold numbers, not String"),
        (pl.lit(None, dtype=pl.Int64).alias("age"), "first in row 1"),
        (pl.lit(1.5).alias("fuel"), "Column fuel must hold level names"),
        (pl.lit(None, dtype=pl.String).alias("fuel"), "Column fuel: 300 of 300"),
        (pl.lit("huge").alias("area"), "none of the levels low, mid, high"),
        (pl.lit("some day").alias("until"), "Column until must hold days"),
        (pl.lit(None, dtype=pl.Date).alias("until"), "Column until: 300 of 300"),
    ],
)
def test_wrong_data_are_named(change: pl.Expr, message: str) -> None:
    with pytest.raises(InvalidTable, match=message):
        table_of(frame(300, 1).with_columns(change), spec(), "made up")


def test_missing_columns_are_all_named() -> None:
    with pytest.raises(InvalidTable, match=r"Columns are missing: power, town\.") as caught:
        table_of(frame(300, 1).drop("power", "town"), spec(), "made up")
    assert [error.field for error in caught.value.errors] == ["power", "town"]


def test_unknown_levels_and_missing_values_are_counted() -> None:
    columns = data_set(500).columns
    rows = frame(10, 9).with_columns(fuel=pl.lit("steam"))
    notes = Notes()
    codes = encode(rows, columns, notes)
    assert (codes[:, 2] == -1).all()
    assert notes.unknown_levels["fuel=steam"] == 10
    optional = FeatureSpec("age", "numeric", optional=True)
    column = numeric_column(optional, np.array([20.0, 30]), np.ones(2))
    notes = Notes()
    gaps = encode(pl.DataFrame({"age": [None, 25.0]}), [column], notes)
    assert gaps.tolist() == [[-1], [0]]
    assert encode(pl.DataFrame({"other": [1]}), [column], notes).tolist() == [[-1]]
    assert notes.missing["age"] == 2
    assert encode(pl.DataFrame({"age": [None]}), [column], notes).tolist() == [[-1]]


def test_whole_numbers_that_a_file_made_floats_are_levels_still() -> None:
    rows = frame(10, 9)
    columns = data_set(500).columns
    floats = rows.with_columns(pl.col("power").cast(pl.Float64))
    assert (encode(floats, columns, Notes()) == encode(rows, columns, Notes())).all()


def test_files_are_read_whole_or_in_pieces(tmp_path: Path) -> None:
    rows = frame(100, 1)
    rows.write_parquet(tmp_path / "a.parquet")
    rows.write_csv(tmp_path / "a.csv")
    for name in ("a.parquet", "a.csv"):
        assert read_frame(tmp_path / name)["age"].to_list() == rows["age"].to_list()
        pieces = list(frames(tmp_path / name, rows=30))
        assert pl.concat(pieces)["age"].to_list() == rows["age"].to_list()
    (tmp_path / "b.parquet").write_text("no table")
    for read in (read_frame, lambda file: list(frames(file))):
        with pytest.raises(InvalidTable, match=r"b\.parquet cannot be read as a table"):
            read(tmp_path / "b.parquet")


def test_segments_of_many_numbers_are_bands() -> None:
    values = pl.DataFrame({"x": list(range(100))})
    found = segments_of(values, "x", np.ones(100))
    assert found.labels[0] == "0 to 7"
    assert len(found.labels) == 12
    assert (np.diff(found.group) >= 0).all()


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_specifications_are_sound(name: str) -> None:
    check_spec(shipped_spec(name), name)
    assert shipped_spec(name).name == name


def test_a_specification_that_is_not_there_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match="no shipped specification"):
        shipped_spec("other")
    with pytest.raises(InvalidSpec, match=r"none\.toml"):
        read_spec(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_text(SPEC_TEXT)
    assert read_spec(tmp_path / "a.toml") == spec()
    with pytest.raises(InvalidSpec, match=r"x\.toml"):
        parse_spec("name = ", "x.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "age", kind', 'name = "power", kind', "each once"),
        ('name = "age", kind', 'name = "years", kind', "years is exposure, claims, order or time"),
        ('"age", kind = "numeric"', '"age", kind = "round"', "kind must be"),
        ('"age", kind = "numeric"', '"age", kind = "ordered"', "levels belong to kind ordered"),
        ('kind = "categorical" }', 'kind = "categorical", monotone = 1 }', "monotone must be"),
        ('of = ["fuel", "power"]', 'of = ["fuel"]', "of joins two or more"),
        ("max_bins = 30", "max_bins = 1", "max_bins must be"),
        ('"age", form = "hinges"', '"weight", form = "hinges"', "no such feature"),
        ('"power", form = "linear"', '"power", form = "cubic"', "form must be"),
        ('"fuel", form = "levels" },\n', '"fuel", form = "linear" },\n', "has the form levels"),
        ("knots = [30, 50]", "knots = [50, 30]", "knots must rise"),
        ('times = { feature = "fuel"', 'times = { feature = "area"', "two different features"),
    ],
)
def test_specifications_that_break_a_rule_say_where(old: str, new: str, message: str) -> None:
    assert old in SPEC_TEXT
    with pytest.raises(InvalidSpec, match=message):
        parse_spec(SPEC_TEXT.replace(old, new, 1), "little.toml")
