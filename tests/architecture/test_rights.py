"""Every route asked as every role and with every scope: it answers as the tables say, and as nothing else.

The whole application runs without anything behind it: who gets through its rules finds a service that fails. So what is
told apart is refused (403), hidden (404 of a driver that is none of the caller's business) and let through.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from itertools import product
from typing import Any

import httpx
import pytest
import structlog
from tools import permissions as page
from tools.routes import RouteInfo, routes_of

from auto_insurance.entrypoints.api import bare_app
from auto_insurance.identity import permissions, policy
from auto_insurance.identity.deps import current_user
from auto_insurance.identity.permissions import GRANTS, Permission
from auto_insurance.identity.policy import PERMISSIONS, Action, Reach
from auto_insurance.identity.schemas import ApiScope, Principal, Role
from auto_insurance.infra.http.app import API_PREFIX, AppState, attach_state
from auto_insurance.kernel import ids

OWN, OTHER = "DRV001", "DRV002"
ROUTES = [
    route
    for route in routes_of(bare_app())
    if route.path.startswith(API_PREFIX) and not {"public", "device"} & route.effective_rules
]
NEEDS_NO_RIGHT = {"GET /auth/me", "GET /rewards/rules"}
"""For whoever is signed in, person or key: they tell nothing of anybody else."""
WRITES_NOTHING = {f"POST {API_PREFIX}/pricing/{{driver_id}}/simulate"}
"""Routes that are not GET and change nothing all the same."""
ACTIONS_NEED_DRIVER = re.compile(r"\{driver_id\}")


class Behind(Exception):
    """Raised by what is behind the rules."""


class Nothing:
    """A service, a database: whoever asks it for something got through the rules."""

    def __getattr__(self, name: str) -> Any:
        raise Behind


class Services(Mapping[type, object]):
    """Has every service."""

    def __getitem__(self, key: type) -> object:
        return Nothing()

    def __iter__(self) -> Iterator[type]:
        return iter(())

    def __len__(self) -> int:
        return 0


class NoDatabase:
    """Opens transactions of nothing."""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Nothing]:
        yield Nothing()

    read = begin


def callers() -> dict[str, Principal]:
    """Return one caller for each role, each scope of an integration's key, and the odd ones."""
    found: dict[str, Principal] = {"no role": _caller(frozenset())}
    for role in Role:
        found[role.value] = _caller(frozenset({role}), driver_id=OWN if role is Role.DRIVER else None)
    for scope in ApiScope:
        found[f"service {scope.value}"] = _caller(frozenset({Role.SERVICE}), scopes=frozenset({scope.value}))
    found["driver's key"] = _caller(
        frozenset({Role.DRIVER}), driver_id=OWN, scopes=frozenset({ApiScope.READ_TRIPS, ApiScope.WRITE_POLICIES})
    )
    found["admin's key"] = _caller(frozenset({Role.ADMIN}), scopes=frozenset({ApiScope.READ_RISK}))
    found["key of nothing"] = _caller(frozenset({Role.ADMIN, Role.SERVICE}), scopes=frozenset())
    return found


def _caller(roles: frozenset[str], *, driver_id: str | None = None, scopes: frozenset[str] | None = None) -> Principal:
    return Principal(user_id=ids.new_uuid(), username="caller", roles=roles, driver_id=driver_id, scopes=scopes)


CALLERS = callers()


def reach(caller: Principal, action: Action) -> Reach | None:
    """Read the tables once more, by other words than the code that is tested."""
    if caller.scopes is None:
        roles: list[Role] = [role for role in Role if role in caller.roles and role is not Role.SERVICE]
    else:
        roles = [role for role in Role if role in caller.roles]
        if not any(action in policy.SCOPES[scope] for scope in ApiScope if scope in caller.scopes):
            return None
    found = [PERMISSIONS[role][action] for role in roles if action in PERMISSIONS[role]]
    return None if not found else max(found, key=lambda one: one is Reach.ANY)


def grants(caller: Principal) -> set[Permission]:
    """Return the caller's permissions by the tables."""
    roles = [role for role in Role if role in caller.roles]
    if caller.scopes is None:
        return {p for role in roles if role is not Role.SERVICE for p in GRANTS[role]}
    through = {p for scope in ApiScope if scope in caller.scopes for p in permissions.SCOPES[scope]}
    return {p for role in roles for p in GRANTS[role]} & through


def expected(route: RouteInfo, caller: Principal, driver_id: str) -> set[int]:
    """Return the refusals that may be answered; empty where the caller must get through."""
    refusals: set[int] = set()
    if route.for_people and caller.scopes is not None:
        refusals.add(403)
    if route.permission is not None and route.permission not in grants(caller):
        refusals.add(403)
    if "driver" not in route.rules:
        return refusals | {403 for action in route.actions if reach(caller, action) is None}
    # A list without a wish shows staff all and a driver itself.
    target = driver_id if ACTIONS_NEED_DRIVER.search(route.path) else caller.driver_id
    for action in route.actions:
        found = reach(caller, action)
        if found is Reach.ANY or (found is Reach.OWN and target is not None and target == caller.driver_id):
            continue
        known = target is not None and any(
            reach(caller, other) is Reach.ANY or (reach(caller, other) is Reach.OWN and target == caller.driver_id)
            for other in Action
        )
        refusals.add(403 if known else 404)
    return refusals


@cache
def application() -> Any:
    app = bare_app()
    attach_state(app, AppState(database=NoDatabase(), services=Services()))  # type: ignore[arg-type]
    return app


def address(route: RouteInfo, driver_id: str) -> str:
    """Return the route's path with a driver; its other parameters are nobody's."""
    return re.sub(r"\{\w+\}", str(ids.new_uuid()), route.path.replace("{driver_id}", driver_id))


async def refused(route: RouteInfo, caller: Principal, driver_id: str) -> int | None:
    """Ask; return the status of a refusal, None for whoever got through."""
    app = application()
    app.dependency_overrides[current_user] = lambda: caller
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.request(route.method, address(route, driver_id))
    if answer.status_code in {403, 404}:
        assert answer.json()["code"] in {"not_allowed", "driver_not_found"}, answer.text
        return answer.status_code
    return None


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_the_route_answers_as_the_tables_say(route: RouteInfo) -> None:
    wrong = []
    drivers = (OWN, OTHER) if ACTIONS_NEED_DRIVER.search(route.path) else (OWN,)
    with structlog.testing.capture_logs():  # hundreds of failures behind the rules are no news
        for (name, caller), driver_id in product(CALLERS.items(), drivers):
            allowed, found = expected(route, caller, driver_id), await refused(route, caller, driver_id)
            if (found not in allowed) if allowed else found is not None:
                wrong.append(f"{name} on {driver_id}: {found}, the tables say {allowed or 'let through'}")
    assert not wrong


def test_every_route_asks_for_a_right() -> None:
    """Who is signed in may not thereby do anything: each route names its action, its permission, or people alone."""
    for route in ROUTES:
        name = f"{route.method} {route.path.removeprefix(API_PREFIX)}"
        decided = route.permission is not None or route.actions or route.for_people
        assert bool(decided) != (name in NEEDS_NO_RIGHT), name


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.ACTUARY])
def test_who_reads_changes_nothing_of_anybody_elses(role: Role) -> None:
    """An auditor writes nothing at all; an actuary writes models, plans and scores alone."""
    writes = {
        f"{route.method} {route.path}"
        for route in ROUTES
        if route.method != "GET" and not route.for_people and page.decision(route, role) != page.NO
    } - WRITES_NOTHING
    if role is Role.AUDITOR:
        assert writes == set()
    assert all("/models" in name or "/plans" in name or "calculate" in name for name in writes)


def test_an_agent_sees_no_model_and_no_plan() -> None:
    for route in ROUTES:
        if "/models" in route.path or "/plans" in route.path:
            assert page.decision(route, Role.AGENT) == page.NO, route.path


def test_the_page_names_every_role_scope_action_permission_and_route() -> None:
    text = page.render(routes_of(bare_app()))
    for name in (*ApiScope, *Action, *permissions.Permission):
        assert f"| `{name.value}` |" in text
    for route in ROUTES:
        assert f"| `{route.method} {route.path}` |" in text or not route.documented
    assert "| `locate` | own | - | - | - | any | any | any |" in text
