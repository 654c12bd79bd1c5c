"""From values to bins: the one coding that training, serving and rating tables share.

Every feature becomes a small integer. A numeric value falls into bin ``k`` when exactly ``k`` of the rising ``edges``
lie below it, so that values beyond what training saw fall into the outermost bins. A level falls into the bin of its
place in ``levels``. Not known (a missing optional value, a level never seen) is :data:`UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import numpy as np

from auto_insurance.risk.errors import InvalidArtefact
from auto_insurance.risk.training.arrays import Codes, Floats, Groups, sum_by
from auto_insurance.risk.training.spec import FeatureSpec

UNKNOWN = -1


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one feature is binned, and what its bins stand for."""

    name: str
    kind: str
    monotone: int
    optional: bool
    of: tuple[str, ...]
    """Columns that are joined to the levels; empty where the feature is a column itself."""
    edges: tuple[float, ...]
    """Upper bounds (inclusive) of all bins but the last; numeric features only."""
    levels: tuple[str, ...]
    """Names of the bins in their order; empty for numeric features."""
    centres: tuple[float, ...]
    """Exposure-weighted mean of the training values of each bin; the bin's number for levels."""
    exposure: tuple[float, ...]
    """Share of the training exposure in each bin."""

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.centres)

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the data that the feature is read from."""
        return self.of or (self.name,)

    @property
    def typical(self) -> int:
        """The most exposed level, or the bin of the exposure-weighted median."""
        share = np.asarray(self.exposure)
        return int(np.argmax(share)) if self.levels else int(np.searchsorted(np.cumsum(share), 0.5 * share.sum()))

    def label(self, bin_: int) -> str:
        """Return what people call a bin."""
        if self.levels:
            return self.levels[bin_]
        if bin_ == 0:
            return f"<= {self.edges[0]:g}" if self.edges else "all"
        return f"<= {self.edges[bin_]:g}" if bin_ < len(self.edges) else f"> {self.edges[-1]:g}"


def numeric_codes(values: Floats, edges: Sequence[float] | Floats) -> Codes:
    """Return the bin of each value; NaN is unknown."""
    codes = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="left").astype(np.int32)
    codes[np.isnan(values)] = UNKNOWN
    return codes


def numeric_column(spec: FeatureSpec, values: Floats, exposure: Floats) -> Column:
    """Return the bins of a numeric feature: each value its own where there are few, quantiles of the rows else."""
    known = ~np.isnan(values)
    seen, weight = values[known], exposure[known]
    edges = _edges(seen, spec.max_bins)
    codes = numeric_codes(seen, edges)
    shares = sum_by(codes, weight, len(edges) + 1)
    sums = sum_by(codes, weight * seen, len(edges) + 1)
    counts = np.bincount(codes, minlength=len(edges) + 1)
    plain = sum_by(codes, seen, len(edges) + 1) / np.maximum(counts, 1)
    centres = np.where(shares > 0, sums / np.where(shares > 0, shares, 1.0), plain)
    return Column(
        name=spec.name,
        kind=spec.kind,
        monotone=spec.monotone,
        optional=spec.optional,
        of=spec.of,
        edges=tuple(float(edge) for edge in edges),
        levels=(),
        centres=tuple(float(centre) for centre in centres),
        exposure=_shares(shares),
    )


def level_column(spec: FeatureSpec, levels: Sequence[str], codes: Codes, exposure: Floats) -> Column:
    """Return the bins of a feature of named levels; ``codes`` are places in ``levels``."""
    known = codes >= 0
    return Column(
        name=spec.name,
        kind=spec.kind,
        monotone=spec.monotone,
        optional=spec.optional,
        of=spec.of,
        edges=(),
        levels=tuple(levels),
        centres=tuple(float(place) for place in range(len(levels))),
        exposure=_shares(sum_by(codes[known], exposure[known], len(levels))),
    )


def neighbours(share: Floats, count: int) -> Groups:
    """Return a group for each bin: neighbours put together, about equal exposure in each of at most ``count``."""
    middle = np.cumsum(share) - share / 2.0
    raw = np.minimum((count * middle / share.sum()).astype(np.int64), count - 1)
    return np.unique(raw, return_inverse=True)[1].astype(np.int64)


def _edges(values: Floats, max_bins: int) -> Floats:
    distinct = np.unique(values)
    if len(distinct) > max_bins:
        steps = np.arange(1, max_bins) / max_bins
        distinct = np.unique(np.quantile(values, steps, method="inverted_cdf"))
        return distinct[:-1] if len(distinct) and distinct[-1] >= values.max() else distinct
    # Half-way between neighbours, so that 17.0 and a rounded 17.0000001 are one bin.
    return (distinct[:-1] + distinct[1:]) / 2.0


def _shares(weights: Floats) -> tuple[float, ...]:
    total = weights.sum()
    return tuple(float(weight) for weight in (weights / total if total > 0 else weights))


def check_columns(columns: Sequence[Column]) -> None:
    """Raise ``InvalidArtefact`` for columns that contradict themselves."""
    for column in columns:
        bins = len(column.levels) if column.levels else len(column.edges) + 1
        if len(column.centres) != bins or len(column.exposure) != bins:
            raise InvalidArtefact(f"columns: {column.name}: centres and exposure must have one entry a bin ({bins})")
        if any(b <= a for a, b in pairwise(column.edges)) or not np.isfinite(column.edges).all():
            raise InvalidArtefact(f"columns: {column.name}: edges must be finite and rising")
        if (column.kind == "numeric") == bool(column.levels) or len(set(column.levels)) != len(column.levels):
            raise InvalidArtefact(
                f"columns: {column.name}: levels must be distinct, and belong to features with levels"
            )
