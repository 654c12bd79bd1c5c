"""Printable HTML of notices: one page, no script, no outside resource, readable by a screen reader. Pure.

Every value is escaped where it enters a page; the fixed text is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from html import escape
from string import Template

import msgspec

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 46rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.25rem; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.4rem; }
th, td { text-align: left; padding: 0.35rem 0.6rem 0.35rem 0; border-bottom: 1px solid #767676; vertical-align: top; }
td.amount, th.amount { text-align: right; font-variant-numeric: tabular-nums; }
.quiet { color: #4a4a4a; }
@page { margin: 20mm; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } h2 { break-after: avoid; }
  tr { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="quiet">$subtitle</p>
$body
</main>
<footer><p class="quiet">$footer</p></footer>
</body>
</html>
""")


class Row(msgspec.Struct, frozen=True):
    """A row of a table: a heading and its values. Values that are amounts of money stand to the right."""

    heading: str
    values: tuple[str | Decimal, ...]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a page: a heading, sentences, a table and points, each of which may be missing."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    caption: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    points: tuple[str, ...] = ()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A document before it is HTML."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    footer: str


def render(page: Page) -> str:
    """Return a page as HTML; whatever is in it is text and never markup."""
    return _PAGE.substitute(
        title=escape(page.title),
        subtitle=escape(page.subtitle),
        body="\n".join(_section(number, section) for number, section in enumerate(page.sections, 1)),
        footer=escape(page.footer),
    )


def day(value: date | datetime) -> str:
    """Return a date for people."""
    return f"{value:%B} {value.day}, {value.year}"


def amount(value: Decimal, currency: str) -> str:
    """Return an amount for people: ``USD 1,234.50``, with a minus sign in front of what goes back."""
    sign = "−" if value < 0 else ""
    return f"{sign}{currency} {abs(value):,.2f}"


def _section(number: int, section: Section) -> str:
    label = f"part-{number}"
    parts = [f'<section aria-labelledby="{label}">', f'<h2 id="{label}">{escape(section.heading)}</h2>']
    parts += [f"<p>{escape(text)}</p>" for text in section.paragraphs]
    if section.rows:
        parts.append(_table(section))
    if section.points:
        parts += ["<ul>", *(f"<li>{escape(text)}</li>" for text in section.points), "</ul>"]
    return "\n".join([*parts, "</section>"])


def _table(section: Section) -> str:
    head = ""
    if section.columns:
        head = f"<thead><tr>{''.join(_head(name, section) for name in section.columns)}</tr></thead>"
    body = "\n".join(_row(row) for row in section.rows)
    return f"<table><caption>{escape(section.caption)}</caption>{head}<tbody>\n{body}\n</tbody></table>"


def _head(name: str, section: Section) -> str:
    index = section.columns.index(name)
    is_amount = index > 0 and isinstance(section.rows[0].values[index - 1], Decimal)
    return f'<th scope="col"{_AMOUNT if is_amount else ""}>{escape(name)}</th>'


_AMOUNT = ' class="amount"'


def _row(row: Row) -> str:
    return f'<tr><th scope="row">{escape(row.heading)}</th>{"".join(_cells(row.values))}</tr>'


def _cells(values: Sequence[str | Decimal]) -> Iterable[str]:
    for value in values:
        if isinstance(value, Decimal):
            sign = "−" if value < 0 else ""
            yield f"<td{_AMOUNT}>{sign}{abs(value):,.2f}</td>"
        else:
            yield f"<td>{escape(value)}</td>"
