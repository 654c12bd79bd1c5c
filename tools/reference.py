"""Writes docs/reference from the code: ``python -m tools.reference``; ``--check`` only tells what has drifted."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from auto_insurance.entrypoints.api import bare_app
from auto_insurance.infra import config, metrics
from auto_insurance.pricing import plan_schema
from auto_insurance.risk import features
from auto_insurance.risk.scoring import load_model
from tools import domain_events, errors, permissions, wire
from tools.routes import RouteInfo, routes_of

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
COMMAND = "make docs"
AUTH = {
    "public": "everybody",
    "user": "any signed-in user",
    "driver": "the driver or staff",
    "admin": "staff",
    "device": "device key or the driver's token",
}


def render_features() -> str:
    """Return the page of the risk features, with what the shipped model makes of them."""
    model = load_model().model
    lines = [
        "# Risk features",
        "",
        "Generated from `auto_insurance.risk.features`: one definition for training and for serving. A feature is null",
        "where it was not observed, never zero. `typical` is the mean of the reference population of "
        f"`{model.info.version}`;",
        "a feature without one is not scored by it.",
        "",
        f"Version of the definitions: `{features.FEATURES_VERSION}`.",
    ]
    for title, group in (
        ("Behaviour", features.BEHAVIOUR),
        ("Context and exposure, never scored", features.CONTEXT),
    ):
        lines += ["", f"## {title}", "", "| name | unit | formula | typical | more is worse |", "|---|---|---|---|---|"]
        for feature in group:
            typical = model.typical(feature.name)
            lines.append(
                f"| `{feature.name}` | {feature.unit} | `{feature.formula}` | "
                f"{'-' if typical is None else f'{typical:.4g}'} | "
                f"{'yes' if feature.harm is features.Harm.MORE_IS_WORSE else '-'} |"
            )
    lines += ["", "## Of drivers, never scored", "", "| name | unit | formula | window |", "|---|---|---|---|"]
    lines += [f"| `{fact.name}` | {fact.unit} | `{fact.formula}` | {fact.window} |" for fact in features.OF_DRIVERS]
    return "\n".join(lines) + "\n"


def render_http() -> str:
    """Return the table of the routes."""
    lines = [
        "# HTTP routes",
        "",
        "Generated from the application. The whole contract is [openapi.json](openapi.json); a running instance shows",
        "it at `/docs`. Errors are `application/problem+json`, their codes are in [errors.md](errors.md).",
        "`{driver_id}` may be `me`. Somebody else's driver and an unknown one answer alike: 404.",
        "",
        "| route | who | what | errors |",
        "|---|---|---|---|",
    ]
    lines += [_route(route) for route in routes_of(bare_app()) if route.documented]
    return "\n".join(lines) + "\n"


def _route(route: RouteInfo) -> str:
    who = " and ".join(AUTH[rule] for rule in sorted(route.effective_rules))
    statuses = ", ".join(str(status) for status in sorted(route.problems)) or "-"
    return f"| `{route.method} {route.path}` | {who} | {route.summary} | {statuses} |"


def render_permissions() -> str:
    """Return the page of the rights."""
    return permissions.render(routes_of(bare_app()))


def render_openapi() -> str:
    """Return the OpenAPI document."""
    return json.dumps(bare_app().openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": config.render_markdown,
    "metrics.md": metrics.render_markdown,
    "errors.md": errors.render_markdown,
    "events.md": domain_events.render_markdown,
    "risk-features.md": render_features,
    "http.md": render_http,
    "permissions.md": render_permissions,
    "openapi.json": render_openapi,
    plan_schema.SCHEMA_FILE: plan_schema.render_schema,
    wire.SCHEMA_FILE: wire.render_schema,
    wire.ASYNCAPI_FILE: wire.render_asyncapi,
}


def drifted(folder: Path = FOLDER) -> list[str]:
    """Return the pages that differ from the code."""
    return [name for name, render in PAGES.items() if _text(folder / name) != render()]


def write(folder: Path = FOLDER) -> list[str]:
    """Write the pages that differ from the code; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = drifted(folder)
    for name in changed:
        (folder / name).write_text(PAGES[name](), encoding="utf-8")
    return changed


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main() -> None:
    """Write the pages, or with ``--check`` fail if one has drifted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on drift")
    if parser.parse_args().check:
        names = drifted()
        sys.exit(f"drifted from the code: {', '.join(names)}; run `{COMMAND}`" if names else 0)
    for name in write():
        print(f"wrote docs/reference/{name}")


if __name__ == "__main__":
    main()
