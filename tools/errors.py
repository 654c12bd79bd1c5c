"""The reference page of the errors: every typed error of the code, and the codes of the HTTP layer."""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import auto_insurance
from auto_insurance.infra.http.errors import STATUS_OF_KIND
from auto_insurance.kernel.errors import AppError
from auto_insurance.telematics.limits import ReasonCode

SOURCE = Path(auto_insurance.__file__).parent
_SKIPPED = ("auto_insurance.__main__", "auto_insurance.infra.db.migrations")
HTTP_CODES = {
    "body_too_large": (413, "The body is larger than the route takes."),
    "server_busy": (503, "The bodies of all requests under way take as much memory as allowed; come again."),
    "unsupported_encoding": (415, "Bodies may be gzipped or plain."),
    "corrupt_body": (400, "The body says gzip and is not."),
    "malformed_json": (400, "The body is not JSON."),
    "invalid_input": (422, "Fields are missing, of the wrong type or out of range; `errors` names them."),
    "not_found": (404, "There is nothing at this address."),
    "method_not_allowed": (405, "This address does not take that method."),
    "starting": (503, "`/ready`: the process does not serve yet."),
    "draining": (503, "`/ready`: the process is about to stop."),
    "dependency_unavailable": (503, "`/ready`: something that it needs does not answer."),
    "metrics_disabled": (404, "`/metrics` with ENABLE_METRICS off."),
    "internal_error": (500, "A defect of ours; the log has it under the request's id."),
}
"""What the HTTP layer says by itself, below the domains."""


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One code of a typed error."""

    code: str
    kind: str
    status: int
    meaning: str
    where: str


@cache
def import_all() -> None:
    """Import every module, so that each error class exists."""
    for module in pkgutil.walk_packages(auto_insurance.__path__, "auto_insurance."):
        if not module.name.startswith(_SKIPPED):
            import_module(module.name)


def rows() -> list[ErrorRow]:
    """Return every typed error of the product, by code."""
    import_all()
    found = [
        ErrorRow(cls.code, cls.kind.value, STATUS_OF_KIND[cls.kind], _first_line(cls), cls.__module__)
        for cls in _subclasses(AppError)
        if cls.__module__.startswith("auto_insurance.")
    ]
    return sorted(found, key=lambda row: (row.code, row.where))


def _subclasses(cls: type[AppError]) -> Iterator[type[AppError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def _first_line(cls: type) -> str:
    text = (cls.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.replace("``", "`").split())


def raised_http_codes() -> set[str]:
    """Return the literal codes that the source raises as ``HttpProblem`` or answers as ``problem_response``."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                at = {"HttpProblem": 2, "problem_response": 2}.get(node.func.id)
                if at is not None and len(node.args) > at and isinstance(node.args[at], ast.Constant):
                    found.add(str(node.args[at].value))  # type: ignore[attr-defined]
    return found


def render_markdown() -> str:
    """Return the page ``docs/reference/errors.md``."""
    lines = [
        "# Errors",
        "",
        "Generated from the code. Every error is `application/problem+json` (RFC 9457): `type`, `title`, `status`,",
        "`detail` (a sentence), `code` (a stable word for programs), `errors` (the wrong fields) and `request_id`.",
        "429 and 503 carry `Retry-After`.",
        "",
        "## Of the domains",
        "",
        "| code | status | kind | meaning | declared in |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row.code}` | {row.status} | {row.kind} | {row.meaning} | `{row.where.removeprefix('auto_insurance.')}` |"
        for row in rows()
    ]
    lines += ["", "## Of the HTTP layer", "", "| code | status | meaning |", "|---|---|---|"]
    lines += [f"| `{code}` | {status} | {meaning} |" for code, (status, meaning) in sorted(HTTP_CODES.items())]
    lines += [
        "",
        "## Reasons against an event",
        "",
        "In `errors` of a refused event, in `results[].reasons` of a batch, and as the detail of a dead letter:",
        "",
        ", ".join(f"`{code.value}`" for code in ReasonCode) + ".",
    ]
    return "\n".join(lines) + "\n"
