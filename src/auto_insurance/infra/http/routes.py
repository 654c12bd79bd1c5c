"""Which route took a request: its template, for labels and logs."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.types import Scope

from auto_insurance.infra.metrics import endpoint_label

_METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options"})


def route_template(scope: Scope) -> str | None:
    """Return the whole path template of the route that took the request, ``None`` if none did."""
    # A route of an included router knows its own part of the path only; FastAPI keeps the whole beside it.
    context = scope.get("fastapi", {}).get("effective_route_context")
    path = getattr(context, "path_format", None) or getattr(scope.get("route"), "path_format", None)
    if not path and scope.get("route") is not None:
        path = getattr(scope["route"], "path", None)
    return endpoint_label(path) if path else None


def declared_routes(app: FastAPI) -> list[tuple[str, str, int]]:
    """Return (method, template, first declared status of success) of every documented route."""
    paths: dict[str, dict[str, Any]] = app.openapi().get("paths", {})
    found = []
    for path, operations in paths.items():
        for method, operation in operations.items():
            if method in _METHODS:
                statuses = sorted(int(s) for s in operation.get("responses", {}) if s.isdigit() and s < "400")
                found.append((method.upper(), path, statuses[0] if statuses else 200))
    return found
