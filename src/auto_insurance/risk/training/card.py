"""The model card: what a model is, what it rests on, what it may be used for. Markdown, made from the artefact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auto_insurance.risk.training.about import About
    from auto_insurance.risk.training.columns import Column

_SIMULATED = (
    "**The claims behind this model are simulated.** It finds the assumptions again that the portfolio was made of; "
    "it is no evidence about real drivers. It must not price in production unless somebody decides so explicitly."
)
_OBSERVED = "The claims behind this model were observed."
_DIRECTIONS = {1: "may only raise it", -1: "may only lower it", 0: "free"}


def card(about: About, columns: Sequence[Column]) -> str:
    """Return the card's text."""
    parts = [
        f"# {about.name}",
        _SIMULATED if about.simulated else _OBSERVED,
        f"Expected claims per {about.exposure_unit} of exposure; form: {about.kind}. Trained on {about.rows:,} rows. "
        f"{about.trained_on}",
        _facts(about),
        "## Out-of-sample figures\n\nCross-validation keeps the rows of one contract or driver together.\n\n"
        + _table(("figure", "value"), [(name, f"{value:.6g}") for name, value in about.metrics.items()]),
        "## Features\n\n"
        + _table(
            ("feature", "kind", "bins", "effect on the frequency", "may be missing"),
            [
                (
                    column.name if not column.of else f"{column.name} ({' / '.join(column.of)})",
                    column.kind,
                    str(column.bins),
                    _DIRECTIONS[column.monotone],
                    "yes, counts as average" if column.optional else "no",
                )
                for column in columns
            ],
        ),
        "## Limits\n\nExposure enters as the offset: expectations are proportional to it. Values beyond those of the "
        "training data count as the outermost bin; a level never seen counts as average (tables) or as the most "
        "exposed level (boosters). Associations, not causes.",
        f"## Settings\n\n```json\n{msgspec.json.format(msgspec.json.encode(about.settings), indent=1).decode()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _facts(about: About) -> str:
    rows = [
        ("data", about.data),
        ("data fingerprint (SHA-256)", f"`{about.data_fingerprint}`"),
        ("exposure", _capped(about.exposure, about.max_exposure)),
        ("claims", _capped(about.claims, about.max_claims)),
        ("features version", about.features_version or "of these data alone"),
        ("trained at", about.trained_at),
        ("seed", str(about.seed)),
    ]
    return _table(("", ""), rows)


def _capped(name: str, at: float | None) -> str:
    return name if at is None else f"{name}, capped at {at:g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)
