"""The reference page of rights: what roles and scopes bring, and what that means for each route."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from auto_insurance.identity import permissions, policy
from auto_insurance.identity.permissions import GRANTS, Permission
from auto_insurance.identity.policy import PERMISSIONS, Action, Reach
from auto_insurance.identity.schemas import ApiScope, Role
from tools.routes import RouteInfo

NO, YES = "-", "yes"
_OPEN = "everybody"
_Cell = Callable[[Any, Role], str]


def render(routes: Sequence[RouteInfo]) -> str:
    """Return the page."""
    lines = [
        "# Rights",
        "",
        "Generated from `identity/policy.py` and `identity/permissions.py`; a test asks every route as every role and",
        "scope. `own`: one's own driver; `any`: every driver. Nothing is allowed that is not in here: an account",
        "without a role sees itself only. `service` counts for API keys alone, as far as their scopes go; a person's",
        "key does what both the person's roles and the key's scopes allow.",
        "",
        "## What roles may do with a driver's data",
        "",
        *_table("action", Action, lambda action, role: _word(PERMISSIONS[role].get(action))),
        "",
        "## What roles may do beside it",
        "",
        *_table("permission", Permission, lambda permission, role: YES if permission in GRANTS[role] else NO),
        "",
        "## What scopes of API keys let through",
        "",
        "| scope | actions | permissions |",
        "|---|---|---|",
        *(
            f"| `{scope.value}` | {_names(policy.SCOPES[scope])} | {_names(permissions.SCOPES[scope])} |"
            for scope in ApiScope
        ),
        "",
        "## Routes",
        "",
        "`yes` needs no driver. Routes of devices take device keys too.",
        "",
        *_header("route"),
    ]
    lines += [_route(route) for route in routes if route.documented]
    return "\n".join(lines) + "\n"


def decision(route: RouteInfo, role: Role) -> str:
    """Return what a role may do with a route: ``-``, ``yes``, ``own`` or ``any``."""
    rules = route.effective_rules
    if "public" in rules:
        return YES
    if route.for_people and role is Role.SERVICE:
        return NO
    if route.permission is not None and route.permission not in GRANTS[role]:
        return NO
    wanted = set(route.actions) | ({Action.SEND_TELEMETRY} if "device" in rules else set())
    reaches = {PERMISSIONS[role].get(action) for action in wanted}
    if None in reaches:
        return NO
    if not reaches:
        return YES
    return (Reach.OWN if Reach.OWN in reaches else Reach.ANY).value


def _route(route: RouteInfo) -> str:
    name = f"`{route.method} {route.path}`"
    if "public" in route.effective_rules:
        return f"| {name} | {' | '.join([_OPEN, *('' for _ in list(Role)[1:])])} |"
    return f"| {name} | {' | '.join(decision(route, role) for role in Role)} |"


def _header(first: str) -> list[str]:
    return [f"| {first} | {' | '.join(role.value for role in Role)} |", f"|---|{'---|' * len(Role)}"]


def _table(first: str, rows: Iterable[Action | Permission], cell: _Cell) -> list[str]:
    return [
        *_header(first),
        *(f"| `{row.value}` | {' | '.join(cell(row, role) for role in Role)} |" for row in rows),
    ]


def _word(reach: Reach | None) -> str:
    return NO if reach is None else reach.value


def _names(found: Iterable[Action | Permission]) -> str:
    return ", ".join(f"`{one.value}`" for one in sorted(found)) or NO
