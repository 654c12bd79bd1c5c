"""Every table says whether it holds data of persons, and what erasure does to it."""

from __future__ import annotations

from auto_insurance.bootstrap import metadata
from auto_insurance.bootstrap.privacy import HOLDINGS, WITHOUT_PERSONS
from auto_insurance.infra.db.holdings import Fate

PERSONAL = frozenset(
    {"driver_id", "device_id", "user_id", "username", "email", "vin", "latitude", "longitude", "location"}
)
"""Columns that make a table one of persons, whatever its name."""


def faults(tables: dict[str, frozenset[str]], declared: list[str], without: set[str]) -> list[str]:
    """Return which tables are not declared, declared twice, or declared though there is none."""
    found = [f"{name}: declare it in models_holdings" for name in tables if name not in {*declared, *without}]
    found += [f"{name}: there is no such table" for name in sorted({*declared, *without} - tables.keys())]
    found += [f"{name}: declared twice" for name in sorted(tables) if declared.count(name) + (name in without) > 1]
    proofs = {"erasure_proofs"}  # they name the driver: that is their purpose
    return found + [
        f"{name}: it has {sorted(columns & PERSONAL)}, so it holds persons"
        for name, columns in tables.items()
        if name in without - proofs and columns & PERSONAL
    ]


def _tables() -> dict[str, frozenset[str]]:
    return {name: frozenset(table.columns.keys()) for name, table in metadata().tables.items()}


def test_every_table_is_declared_once() -> None:
    assert not faults(_tables(), [holding.name for holding in HOLDINGS], set(WITHOUT_PERSONS))


def test_what_is_declared_fits_the_table() -> None:
    for holding in HOLDINGS:
        columns = set(holding.table.columns.keys())
        assert set(holding.blank) <= columns, holding.name
        assert holding.hidden <= columns, holding.name
        assert holding.why, holding.name
        assert bool(holding.blank) == (holding.fate is Fate.PSEUDONYMISED), holding.name
        assert len(holding.table.primary_key.columns), holding.name


def test_what_is_referred_to_goes_last() -> None:
    """A row that another one needs is deleted after it, unless the database does both."""
    order = [holding.name for holding in HOLDINGS]
    for holding in HOLDINGS:
        for key in holding.table.foreign_keys:
            target = next(other for other in HOLDINGS if other.table is key.column.table)
            if target.fate is Fate.DELETED and key.ondelete is None:
                assert order.index(holding.name) < order.index(target.name), holding.name


def test_a_planted_fault_is_seen() -> None:
    tables = {"a": frozenset({"x"}), "b": frozenset({"driver_id"})}
    assert faults(tables, ["b"], {"a"}) == []
    assert faults(tables, [], {"a"}) == ["b: declare it in models_holdings"]
    assert faults(tables, ["b", "b", "c"], {"a"}) == ["c: there is no such table", "b: declared twice"]
    assert faults(tables, [], {"a", "b"}) == ["b: it has ['driver_id'], so it holds persons"]
