"""Plots of a report as PNG images (matplotlib, of the extra ``training``)."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from auto_insurance.risk.training.arrays import Floats
from auto_insurance.risk.training.columns import Column
from auto_insurance.risk.training.errors import MissingExtra
from auto_insurance.risk.training.metrics import Bands, DoubleLift, Lorenz

COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#8250df", "#9a6700")
_GREY = "#57606a"


def _axes(title: str, x: str, y: str, width: float = 5.4, height: float = 3.6) -> tuple[Any, Any]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra, and slow to load
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra("Plots need matplotlib: install auto-insurance[training].") from error
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    return figure, axes


def _png(figure: Any) -> str:
    out = io.BytesIO()
    # Without the program's version and date, so that the same run gives the same bytes.
    figure.savefig(out, format="png", metadata={"Software": None})
    return base64.b64encode(out.getvalue()).decode()


def lorenz_plot(
    curves: Mapping[str, Lorenz], ginis: Mapping[str, float], band: tuple[Floats, Floats, Floats] | None = None
) -> str:
    """Return ordered Lorenz curves, one a model, as a PNG in base64; with the 95 % band of one of them."""
    figure, axes = _axes("Ordered Lorenz curves", "share of exposure, lowest predicted first", "share of claims")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8)
    if band is not None:
        axes.fill_between(*band, color=_GREY, alpha=0.25, linewidth=0, label="95 % of the best")
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot(_thin(curve.exposure), _thin(curve.claims), color=colour, label=f"{name}: Gini {ginis[name]:.3f}")
    axes.legend(fontsize=8)
    return _png(figure)


def _thin(values: Floats, points: int = 400) -> Floats:
    places = np.linspace(0, len(values) - 1, min(points, len(values))).astype(int)
    return np.asarray(values[places], dtype=np.float64)


def calibration_plot(decile: Mapping[str, Bands]) -> str:
    """Return observed against expected frequency by tenth of the exposure, with two standard errors."""
    figure, axes = _axes("Calibration by tenth of exposure", "expected frequency", "observed frequency")
    highest = 0.0
    for (name, found), colour in zip(decile.items(), COLOURS, strict=False):
        expected, observed = found.expected / found.exposure, found.claims / found.exposure
        error = 2.0 * np.sqrt(found.expected) / found.exposure
        axes.errorbar(expected, observed, yerr=error, fmt="o-", markersize=3, linewidth=1, color=colour, label=name)
        highest = max(highest, float(expected.max()), float(observed.max()))
    axes.plot([0, highest], [0, highest], color=_GREY, linewidth=0.8)
    axes.legend(fontsize=8)
    return _png(figure)


def double_lift_plot(found: DoubleLift, first: str, second: str) -> str:
    """Return a double lift chart: where two models disagree, what happened."""
    title = f"Double lift: {first} against {second}"
    figure, axes = _axes(title, f"tenths of exposure by {first} / {second}", "frequency")
    x = np.arange(1, len(found.actual) + 1)
    axes.bar(x, found.actual, color="#d0d7de", label="observed")
    axes.plot(x, found.first, "o-", markersize=3, color=COLOURS[0], label=first)
    axes.plot(x, found.second, "o-", markersize=3, color=COLOURS[1], label=second)
    axes.legend(fontsize=8)
    return _png(figure)


def effect_plot(column: Column, curves: Mapping[str, Floats], y: str) -> str:
    """Return effects by bin of one feature, with the exposure as bars behind."""
    figure, axes = _axes(column.name, "", y, 4.2, 2.9)
    x: Floats = np.arange(column.bins, dtype=np.float64) if column.levels else np.asarray(column.centres)
    behind = axes.twinx()
    behind.bar(x, column.exposure, width=_width(x), color="#d0d7de", alpha=0.6)
    behind.set_yticks([])
    behind.set_zorder(0)
    axes.set_zorder(1)
    axes.patch.set_visible(False)
    for (name, values), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot(x, values, "o-" if column.levels else "-", markersize=3, color=colour, label=name)
    if column.levels:
        axes.set_xticks(x, column.levels, rotation=90 if column.bins > 8 else 0)
    elif x.min() > 0 and x.max() / x.min() > 500:
        axes.set_xscale("log")
    if len(curves) > 1:
        axes.legend(fontsize=7)
    return _png(figure)


def _width(x: Floats) -> float:
    return float(np.median(np.diff(x))) * 0.9 if len(x) > 1 else 1.0


def pair_plot(first: Column, second: Column, values: Floats, limit: float) -> str:
    """Return one pair's log effects as a map over the two features' bins."""
    figure, axes = _axes(f"{first.name} x {second.name}", second.name, first.name, 4.2, 3.2)
    axes.grid(visible=False)
    image = axes.pcolormesh(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
    figure.colorbar(image, ax=axes, shrink=0.8)
    _ticks(axes.set_xticks, second)
    _ticks(axes.set_yticks, first)
    return _png(figure)


def _ticks(setter: Any, column: Column) -> None:
    places = np.unique(np.linspace(0, column.bins - 1, min(6, column.bins)).astype(int))
    labels = [column.levels[place] if column.levels else f"{column.centres[place]:.3g}" for place in places]
    setter(places + 0.5, labels)


def ratio_plot(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return actual over expected by segment, with two standard errors."""
    figure, axes = _axes(f"Actual to expected by {name}", "", "A / E", 5.4, 3.0)
    x = np.arange(len(rows))
    axes.errorbar(
        x,
        [row["actual_to_expected"] for row in rows],
        yerr=[2.0 * row["error"] for row in rows],
        fmt="o",
        markersize=3,
        color=COLOURS[0],
    )
    axes.axhline(1.0, color=_GREY, linewidth=0.8)
    axes.set_xticks(x, [row["segment"] for row in rows], rotation=90 if len(rows) > 8 else 0)
    return _png(figure)
