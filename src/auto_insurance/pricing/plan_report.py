"""A dislocation report as one HTML page that prints; the plots are SVG, drawn here: no other file is needed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from auto_insurance.pricing.plan_dislocation import Bin, Dislocation, Group, Mover

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2530; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600 }
td, th { padding: .25rem .6rem; border-bottom: 1px solid #dde3ea } .n { text-align: right }
.n { font-variant-numeric: tabular-nums } .down { fill: #2f7d5b } .same { fill: #9aa7b4 } .up { fill: #b4492f }
svg text { font: 12px system-ui, sans-serif; fill: #1c2530 } .axis { stroke: #9aa7b4 }
@media print { body { margin: 0; max-width: none } h2 { break-after: avoid } svg, table { break-inside: avoid } }
"""
_WIDE, _HIGH, _FOOT = 900, 260, 40
_HALF = 300
"""Half of the width of a bar plot of segments, in pixels."""


def html_report(report: Dislocation, about: Sequence[tuple[str, str]]) -> str:
    """Return the page; ``about`` are lines such as who made it, of which book."""
    title = f"Dislocation: {report.old_version} to {report.new_version}"
    overall = report.overall
    parts = [
        f"<h1>{escape(title)}</h1>",
        _table(("", ""), [(name, value) for name, value in about]),
        "<h2>Altogether</h2>",
        _groups([overall]),
        f"<p>{overall.cheaper:,} pay less, together {overall.cheaper_by} a year; {overall.dearer:,} pay more, together "
        f"{overall.dearer_by}; {overall.same:,} stay within half a percent.</p>",
        "<h2>Drivers by change</h2>",
        _histogram(report.histogram),
        "<h2>Quantiles of the change</h2>",
        _table(tuple(f"{float(q):.0%}" for q in overall.quantiles), [tuple(map(_percent, overall.quantiles.values()))]),
    ]
    for name, groups in report.segments.items():
        parts += [f"<h2>By {escape(name)}</h2>", _bars(groups), _groups(groups)]
    parts += ["<h2>Up the most</h2>", _movers(report.most_up), "<h2>Down the most</h2>", _movers(report.most_down)]
    if report.refused:
        parts += ["<h2>Not rated by one of the plans</h2>"]
        parts += [_table(("reason", "drivers"), [(why, f"{count:,}") for why, count in report.refused.items()])]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _groups(groups: Sequence[Group]) -> str:
    heads = ("group", "policies", "old total", "new total", "change", "5 %", "median", "95 %", "less", "same", "more")
    rows = [
        (
            group.name,
            f"{group.policies:,}",
            group.old_total,
            group.new_total,
            _percent(group.change),
            *(_percent(group.quantiles[level]) for level in ("0.05", "0.50", "0.95")),
            *(f"{number:,}" for number in (group.cheaper, group.same, group.dearer)),
        )
        for group in groups
    ]
    return _table(heads, rows)


def _movers(movers: Sequence[Mover]) -> str:
    if not movers:
        return "<p>Nobody.</p>"
    rows = [(mover.key, mover.old, mover.new, _percent(mover.change)) for mover in movers]
    return _table(("driver", "old", "new", "change"), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        kinds = ("", *[' class="n"'] * (len(row) - 1))
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

    head = f"<tr>{cells('th', heads)}</tr>" if any(heads) else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


def _histogram(bins: Sequence[Bin]) -> str:
    most = max((one.policies for one in bins), default=0) or 1
    wide = _WIDE / len(bins)
    drawn = []
    for index, one in enumerate(bins):
        high = (_HIGH - _FOOT - 20) * one.policies / most
        left, top = index * wide, _HIGH - _FOOT - high
        middle = left + wide / 2
        drawn += [
            f'<rect class="{_side(one)}" x="{left + 2:.1f}" y="{top:.1f}" width="{wide - 4:.1f}" height="{high:.1f}"/>',
            f'<text x="{middle:.1f}" y="{top - 4:.1f}" text-anchor="middle">{one.policies or ""}</text>',
        ]
        if one.below is not None:
            drawn += [
                f'<text x="{left + wide:.1f}" y="{_HIGH - _FOOT + 16}" text-anchor="middle">'
                f"{one.below * 100:+.4g} %</text>"
            ]
    axis = f'<line class="axis" x1="0" x2="{_WIDE}" y1="{_HIGH - _FOOT}" y2="{_HIGH - _FOOT}"/>'
    return _svg(_HIGH, "Drivers by the change of their price", axis + "".join(drawn))


def _bars(groups: Sequence[Group]) -> str:
    """Draw for each group the change of its total, and as a line the middle nine tenths of its drivers."""
    most = max((abs(value) for g in groups for value in _reach(g)), default=0.0) or 0.01
    drawn = []
    for index, group in enumerate(groups):
        y, length = index * 26 + 6, _HALF * abs(group.change) / most
        middle = _WIDE - _HALF - 60
        side = "up" if group.change > 0 else "down"
        left = middle if group.change > 0 else middle - length
        low, high = (middle + _HALF * group.quantiles[level] / most for level in ("0.05", "0.95"))
        drawn += [
            f'<text x="0" y="{y + 13}">{escape(group.name)} ({_percent(group.change)})</text>',
            f'<rect class="{side}" x="{left:.1f}" y="{y}" width="{length:.1f}" height="16"/>',
            f'<line stroke="#1c2530" x1="{low:.1f}" x2="{high:.1f}" y1="{y + 8}" y2="{y + 8}"/>',
            f'<line class="axis" x1="{middle}" x2="{middle}" y1="{y - 4}" y2="{y + 20}"/>',
        ]
    label = "Change of the total by group; the line is the middle nine tenths"
    return _svg(len(groups) * 26 + 8, label, "".join(drawn))


def _reach(group: Group) -> tuple[float, float, float]:
    return group.change, group.quantiles["0.05"], group.quantiles["0.95"]


def _side(one: Bin) -> str:
    if one.below is not None and one.below <= 0:
        return "down"
    return "up" if one.above is not None and one.above >= 0 else "same"


def _svg(high: int, label: str, content: str) -> str:
    return f'<svg viewBox="0 0 {_WIDE} {high}" role="img" aria-label="{escape(label)}">{content}</svg>'


def _percent(share: float) -> str:
    return f"{share * 100:+.1f} %"
