"""The report of a benchmark: one HTML page with its plots inside, and the same figures as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from auto_insurance.risk.training import metrics, plots
from auto_insurance.risk.training.arrays import Floats
from auto_insurance.risk.training.benchmark import Bench, report_data
from auto_insurance.risk.training.evaluate import feature_segments, partial_dependence, segment_table, stability
from auto_insurance.risk.training.moved import drift_page, drift_table
from auto_insurance.risk.training.rating import main_effect
from auto_insurance.risk.training.resample import lorenz_band
from auto_insurance.risk.training.tables import TableModel, importance, prove_monotone

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1f2328}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.2rem .7rem;border-bottom:1px solid #d0d7de;
text-align:right}td:first-child,th:first-child{text-align:left}img{max-width:100%;margin:.3rem}code{font-size:.85em}
.row{display:flex;flex-wrap:wrap}"""
_SAMPLE = 1000
_MAX_PAIRS = 6
_POINTS = 24
_COMPARED = ("glm", "boosted", "explainable")


def full_report(bench: Bench, told: Callable[[str, float], None]) -> tuple[dict[str, Any], str]:
    """Return the figures as data and the page as HTML."""
    found = report_data(bench)
    found["segments"] = {
        one.name: segment_table(bench.data, bench.grouped.expected[bench.best], one, bench.grouped.rows)
        for one in (*(feature_segments(bench.data, i) for i in range(len(bench.data.columns))), *bench.data.segments)
    }
    found["monotone"] = _monotone(bench)
    found["tables"] = _table_worth(bench)
    found["stability"] = {
        name: stability(refits)
        for name, refits in bench.grouped.refits.items()
        if name != "intercept" and len(refits) > 1
    }
    found["drift"] = drift_table(bench)
    told("drawing", 0.2)
    html = _page(bench, found)
    told("drawing", 1.0)
    return found, html


def _monotone(bench: Bench) -> list[dict[str, Any]]:
    artefact = bench.models.get("explainable")
    if artefact is None or not isinstance(artefact.model, TableModel):
        return []
    found = []
    for place, column in enumerate(bench.data.columns):
        if column.monotone:
            proof = prove_monotone(artefact.model, place, column.monotone)
            found.append(
                {
                    "feature": proof.feature,
                    "direction": proof.direction,
                    "holds": proof.holds,
                    "steps": proof.steps,
                    "worst": proof.worst,
                }
            )
    return found


def _table_worth(bench: Bench) -> list[dict[str, Any]]:
    model = bench.models["explainable"].model
    if not isinstance(model, TableModel):
        return []
    worth = importance(model, bench.data.codes, bench.data.exposure)
    order = np.argsort(-worth)
    return [{"table": model.name(model.terms[i]), "variance_of_log_effect": float(worth[i])} for i in order]


def _page(bench: Bench, found: Mapping[str, Any]) -> str:
    data = found["data"]
    head = f"Claim frequency on {data['name']}"
    intro = (
        f"{data['rows']:,} rows of {data['contracts']:,} contracts, {data['claims']:,.0f} claims in "
        f"{data['exposure']:,.0f} {bench.data.spec.exposure_unit}. {data['about']} {found['definition']} "
        f"Seed {found['seed']}. Best by deviance, contracts kept together: {found['best']}."
    )
    parts = [f"<h1>{escape(head)}</h1><p>{escape(intro)}</p>"]
    if found["quick"]:
        parts.append("<p><b>A quick run on a sample: these figures are a smoke test.</b></p>")
    parts += [_scores(found), _curves(bench), _segments(bench, found), _effects(bench), _pairs(bench)]
    parts += [_tail(found), _tuned(found)]
    body = "\n".join(parts)
    top = f'<meta charset="utf-8"><title>{escape(head)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en">{top}<body>{body}</body></html>\n'


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    top = "".join(f"<th>{escape(str(cell))}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _image(png: str, alt: str) -> str:
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{png}">'


def _scores(found: Mapping[str, Any]) -> str:
    head = (
        "",
        "deviance x 100",
        "95 % interval",
        "Gini",
        "95 % interval",
        "expected / observed",
        "slope",
        "isotonic gain",
    )
    parts = ["<h2>Out of fold</h2>"]
    notes = {
        "by contract": "Rows of one contract are never on both sides. This is what settings were chosen by.",
        "by time": "What follows a day is predicted from what came before it.",
        "by row": "Plain random rows: rows of a held-out contract may be among the learning rows, which flatters.",
    }
    for grouping, models in found["cross_validation"].items():
        rows = []
        for name, one in models.items():
            slope = one["calibration_slope"]
            low, high = one["deviance_x100_interval"]
            gini_low, gini_high = one["gini_interval"]
            rows.append(
                (
                    name,
                    f"{one['deviance_x100']:.4f}",
                    f"{low:.3f} to {high:.3f}",
                    f"{one['gini']:.4f}",
                    f"{gini_low:.3f} to {gini_high:.3f}",
                    f"{one['balance']:.4f}",
                    "" if slope is None else f"{slope:.3f}",
                    f"{one['isotonic_gain_x100']:+.4f}",
                )
            )
        parts.append(f"<h3>{escape(grouping)}</h3><p>{escape(notes[grouping])}</p>{_table(head, rows)}")
    return "".join(parts)


def _curves(bench: Bench) -> str:
    rows = bench.grouped.rows
    claims, exposure = bench.data.claims[rows], bench.data.exposure[rows]
    expected = {n: bench.grouped.expected[n][rows] for n in _COMPARED if n in bench.grouped.expected}
    curves = {name: metrics.lorenz(claims, one / exposure, exposure) for name, one in expected.items()}
    ginis = {name: bench.figures["by contract"][name]["gini"] for name in expected}
    deciles = {name: metrics.calibration(claims, one, exposure) for name, one in expected.items()}
    images = [
        _image(plots.lorenz_plot(curves, ginis, _band(bench)), "ordered Lorenz curves"),
        _image(plots.calibration_plot(deciles), "calibration by tenth of exposure"),
    ]
    for first, second in (("boosted", "glm"), ("explainable", "glm"), ("boosted", "explainable")):
        if first in expected and second in expected:
            lift = metrics.double_lift(claims, expected[first], expected[second], exposure)
            images.append(_image(plots.double_lift_plot(lift, first, second), f"double lift {first} {second}"))
    return f'<h2>Order and level</h2><div class="row">{"".join(images)}</div>'


def _band(bench: Bench) -> tuple[Floats, Floats, Floats]:
    """Return where the Lorenz curve of the best model lies, contracts drawn anew."""
    rows, data, plan = bench.grouped.rows, bench.data, bench.plan
    _, groups = np.unique(data.groups[rows], return_inverse=True)
    claims, exposure = data.claims[rows], data.exposure[rows]
    frequency = bench.grouped.expected[bench.best][rows] / exposure
    return lorenz_band(claims, frequency, exposure, groups, seed=plan.seed, rounds=plan.bootstrap)


def _segments(bench: Bench, found: Mapping[str, Any]) -> str:
    names = bench.data.spec.segments or tuple(column.name for column in bench.data.columns[:4])
    images = [
        _image(plots.ratio_plot(name, found["segments"][name]), f"actual to expected by {name}") for name in names
    ]
    text = (
        f"Out of fold, {bench.best}. Bars are two standard errors. A group that is far from 1 pays for another; "
        "report.json has every feature."
    )
    return f'<h2>Segments and fairness</h2><p>{escape(text)}</p><div class="row">{"".join(images)}</div>'


def _effects(bench: Bench) -> str:
    data = bench.data
    rng = np.random.default_rng(bench.plan.seed)
    rows = rng.choice(len(data), min(_SAMPLE, len(data)), replace=False)
    images = []
    for place, column in enumerate(data.columns):
        bins = np.unique(np.linspace(0, column.bins - 1, min(_POINTS, column.bins)).astype(int)).tolist()
        curves = {}
        for name in (name for name in _COMPARED[1:] if name in bench.models):
            model = bench.models[name].model
            part = partial_dependence(model.log_frequency, data.codes[rows], data.exposure[rows], place, bins)
            curves[name] = np.interp(np.arange(column.bins), bins, part)
        images.append(_image(plots.effect_plot(column, curves, "mean frequency"), f"partial dependence {column.name}"))
    explainable = bench.models["explainable"].model
    tables = []
    if isinstance(explainable, TableModel):
        for place, column in enumerate(data.columns):
            effect = {"relativity": np.exp(main_effect(explainable, place))}
            tables.append(_image(plots.effect_plot(column, effect, "relativity"), f"main effect {column.name}"))
    return (
        f"<h2>Partial dependence</h2><p>Mean frequency of {len(rows):,} rows with the feature set to each value; "
        f'bars: exposure.</p><div class="row">{"".join(images)}</div>'
        "<h2>Rating tables: main effects of the explainable model</h2>"
        f'<div class="row">{"".join(tables)}</div>'
    )


def _pairs(bench: Bench) -> str:
    model = bench.models["explainable"].model
    if not isinstance(model, TableModel):
        return ""
    worth = importance(model, bench.data.codes, bench.data.exposure)
    ranked = [model.terms[i] for i in np.argsort(-worth) if len(model.terms[i].features) == 2][:_MAX_PAIRS]
    images = []
    for term in ranked:
        inner = term.values[:-1, :-1]
        limit = float(np.quantile(np.abs(inner), 0.98)) or 1.0
        one, other = (bench.data.columns[feature] for feature in term.features)
        images.append(_image(plots.pair_plot(one, other, inner, limit), f"pair {model.name(term)}"))
    return f'<h2>Strongest pairs (log effects)</h2><div class="row">{"".join(images)}</div>'


def _tail(found: Mapping[str, Any]) -> str:
    tables = [(row["table"], f"{row['variance_of_log_effect']:.5f}") for row in found["tables"]]
    parts = ["<h2>What each table tells apart</h2>", _table(("table", "variance of the log effect"), tables)]
    if found["monotone"]:
        rows = [(m["feature"], m["direction"], m["steps"], m["holds"], f"{m['worst']:.2e}") for m in found["monotone"]]
        head = ("feature", "direction", "steps, each under every combination", "holds", "smallest change")
        parts += ["<h2>Monotonicity, over all tables</h2>", _table(head, rows)]
    if found["stability"]:
        apart = [(name, *(f"{value:.4f}" for value in one.values())) for name, one in found["stability"].items()]
        words = ("", "mean |log ratio|", "95 % of rows below", "correlation of logs")
        text = "Models of different folds, with seeds of their own, on the same rows; each pair of them compared."
        parts += ["<h2>Stability over seeds</h2>", f"<p>{text}</p>", _table(words, apart)]
    parts.append(drift_page(found["drift"], _table))
    return "".join(parts)


def _tuned(found: Mapping[str, Any]) -> str:
    rows = [tuple(_cell(value) for value in tried.values()) for tried in found["tuning"]]
    head = tuple(found["tuning"][0]) if found["tuning"] else ()
    return f"<h2>Settings tried</h2>{_table(head, rows)}<p><code>{escape(found['data']['fingerprint'])}</code></p>"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
