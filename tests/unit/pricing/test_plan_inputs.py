"""Files of rating inputs: read as they are meant, or refused with the place."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from auto_insurance.pricing.errors import UnusableInputs
from auto_insurance.pricing.plan_inputs import read_inputs

DAY = date(2026, 6, 1)
CSV = """driver_id,state,coverage,driver_age,annual_mileage,product,participating,relativity,credibility,new_relativity
DRV001,CA,standard,40,10000,phyd,true,1.1,0.5,0.9
DRV002,NY,full,,,per_mile,no,,,
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "book.csv"
    path.write_text(text)
    return path


def test_a_csv_is_read_for_both_sides(tmp_path: Path) -> None:
    found = read_inputs(_file(tmp_path, CSV), DAY)
    assert found.keys == ["DRV001", "DRV002"]
    first, second = found.old
    assert (first.driver_age, first.annual_mileage, first.participating) == (40, 10_000, True)
    assert (first.telematics.relativity, found.new[0].telematics.relativity) == (Decimal("1.1"), Decimal("0.9"))
    assert found.new[0].telematics.credibility == Decimal("0.5")
    assert (second.driver_age, second.product, second.participating, second.prior_claims) == (
        None,
        "per_mile",
        False,
        0,
    )
    assert found.new[1] == second


def test_parquet_with_numbers_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "book.parquet"
    pl.DataFrame(
        {"state": ["CA"], "coverage": ["full"], "vehicle_age": [3], "relativity": [0.1 + 0.2], "uses_location": [True]}
    ).write_parquet(path)
    found = read_inputs(path, DAY)
    assert found.keys == ["row 1"]
    assert (found.old[0].vehicle_age, found.old[0].telematics.relativity) == (3, Decimal("0.300000"))
    assert found.old[0].telematics.uses_location


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("driver_id,state\nA,CA\n", "column coverage is missing"),
        ("state,coverage,colour\nCA,full,red\n", "not known: colour"),
        ("state,coverage\nCA,\n", "row 1: coverage is missing"),
        ("state,coverage,driver_age\nCA,full,40.5\n", "row 1: driver_age must be a whole number"),
        ("state,coverage,driver_age\nCA,full,4\nCA,full,-4\n", "row 2: driver_age must be a whole number"),
        ("state,coverage,driver_age\nCA,full,old\n", "row 1"),
        ("state,coverage,relativity\nCA,full,nan\n", "row 1: relativity must be a number"),
        ("state,coverage,participating\nCA,full,perhaps\n", "row 1: participating must be true or false"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UnusableInputs, match=r"book\.csv") as caught:
        read_inputs(_file(tmp_path, text), DAY)
    assert message in caught.value.detail


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UnusableInputs, match="cannot be read"):
        read_inputs(tmp_path / "none.csv", DAY)
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(UnusableInputs, match="cannot be read"):
        read_inputs(tmp_path / "x.parquet", DAY)
