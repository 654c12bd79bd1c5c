"""The reference page of the settings, made from their definitions."""

from __future__ import annotations

from enum import Enum
from itertools import groupby
from typing import Literal, get_args, get_origin

from auto_insurance.infra.config.groups import PREFIX
from auto_insurance.infra.config.overview import shown
from auto_insurance.infra.config.tree import LEAVES, Leaf


def render_markdown() -> str:
    """Return the page ``docs/reference/settings.md``."""
    lines = [
        "# Settings",
        "",
        "Generated from `auto_insurance.infra.config`. `auto-insurance config` prints what is in force and its source.",
        "",
        f"Every setting may be given as `NAME` or as `{PREFIX}NAME`: in the environment first, second in",
        "`.env.<environment>` of the current folder. A secret may also be given as `NAME_FILE`, the path of a file",
        "that holds it. An empty value counts as not given. A wrong value, an unknown name with the prefix and a",
        "misspelt name in the file stop the start, and all of them are named at once.",
    ]
    for theme, leaves in groupby(LEAVES, key=lambda leaf: leaf.theme):
        lines += ["", f"## {theme.rstrip('.')}", "", "| name | default | meaning |", "|---|---|---|"]
        lines += [_row(leaf) for leaf in leaves]
    return "\n".join(lines) + "\n"


def _row(leaf: Leaf) -> str:
    default = "a development value" if leaf.secret and leaf.field.default is not None else shown(leaf.field.default)
    if leaf.production is not None:
        default = f"{default} (production {shown(leaf.production)})"
    choices = _choices(leaf)
    meaning = f"{leaf.field.description or ''}{f' One of {choices}.' if choices else ''}"
    secret = " Secret: also as a file." if leaf.secret else ""
    return f"| `{leaf.env}` | {default or '-'} | {meaning}{secret} |"


def _choices(leaf: Leaf) -> str:
    annotation = leaf.field.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    return ""
