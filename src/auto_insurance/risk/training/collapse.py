"""Turns boosters in which at most two features interact into lookup tables, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auto_insurance.risk.training.arrays import Floats
from auto_insurance.risk.training.columns import Column
from auto_insurance.risk.training.tables import TableModel, Term, empty_values

Mask = NDArray[np.bool_]
Node = Mapping[str, Any]


def collapse(boosters: Sequence[Any], columns: tuple[Column, ...], intercept: float) -> TableModel:
    """Return the mean of the boosters' scores plus the intercept, as tables over the columns' bins.

    The path to a leaf asks about one or two features (LightGBM's interaction constraints bound paths, not trees), so
    that a leaf is a rectangle of their bins; its value is added there. The tables equal the boosters' raw score up to
    the order of summation. Raises ``ValueError`` for a path of three or more features.
    """
    pour = _Pour(columns, 1.0 / len(boosters))
    for booster in boosters:
        for tree in booster.dump_model()["tree_info"]:
            pour.down(tree["tree_structure"], {})
    ordered = sorted(pour.tables, key=lambda key: (len(key), key))
    terms = tuple(Term(key, pour.tables[key]) for key in ordered)
    return TableModel(columns, intercept + pour.constant, terms)


class _Pour:
    """Adds leaves to tables."""

    def __init__(self, columns: tuple[Column, ...], weight: float) -> None:
        self.columns = columns
        self.weight = weight
        self.constant = 0.0
        self.tables: dict[tuple[int, ...], Floats] = {}

    def down(self, node: Node, masks: Mapping[int, Mask]) -> None:
        """Follow a node's branches; ``masks`` are the bins that lead to it, of the features asked on the way."""
        if "split_feature" not in node:
            self._leaf(self.weight * node["leaf_value"], masks)
            return
        feature = int(node["split_feature"])
        so_far = masks.get(feature, np.ones(self.columns[feature].bins, dtype=bool))
        left = _left(node, len(so_far))
        self.down(node["left_child"], {**masks, feature: so_far & left})
        self.down(node["right_child"], {**masks, feature: so_far & ~left})

    def _leaf(self, value: float, masks: Mapping[int, Mask]) -> None:
        used = tuple(sorted(masks))
        if len(used) > 2:
            raise ValueError(f"a path asks about {len(used)} features, a table has at most two")
        if not used:
            self.constant += value
            return
        if used not in self.tables:
            self.tables[used] = empty_values(self.columns, used)
        # The place for unknown, at the end of each axis, is never within a rectangle.
        self.tables[used][np.ix_(*(np.flatnonzero(masks[feature]) for feature in used))] += value


def _left(node: Node, bins: int) -> Mask:
    """Return which bins go left: up to the threshold, or the listed levels."""
    codes = np.arange(bins)
    if node["decision_type"] == "==":
        return np.isin(codes, [int(level) for level in str(node["threshold"]).split("||")])
    return codes <= float(node["threshold"])
