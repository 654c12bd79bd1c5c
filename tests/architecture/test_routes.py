"""Every route says who may call it, what it answers, what may go wrong, and how much one may ask for."""

from __future__ import annotations

from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

import pytest
from annotated_types import Le, Lt, MaxLen
from fastapi import APIRouter, FastAPI, Query
from pydantic import AwareDatetime
from pydantic.fields import FieldInfo
from tools.routes import Parameter, RouteInfo, routes_of

from auto_insurance.entrypoints.api import bare_app
from auto_insurance.identity.deps import PUBLIC, AccessibleDriver, CurrentUser, may, staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.app import API_PREFIX
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.pagination import PageParams
from auto_insurance.infra.http.routes import declared_routes

ROUTES = routes_of(bare_app())
OURS = [route for route in ROUTES if route.path.startswith(API_PREFIX)]
UNIONS = (Union, UnionType)


def faults(route: RouteInfo) -> list[str]:
    """Return what breaks a rule; nothing for a good route."""
    found = [f"{p.name} is not bounded" for p in route.parameters if not bounded(p.annotation, p.info.metadata)]
    if len(route.effective_rules) != 1:
        found.append(f"one auth rule or the public mark is needed, there are {sorted(route.effective_rules)}")
    if not route.path.startswith(API_PREFIX):
        return found
    if not route.answers:
        found.append("without a response model")
    if not route.summary:
        found.append("without a summary")
    wanted = {401} if "public" not in route.effective_rules else set()
    if "driver" in route.effective_rules:
        wanted.add(404)
    if route.permission is not None or route.actions or route.for_people:
        wanted.add(403)
    if route.parameters:
        wanted.add(422)
    if missing := wanted - route.problems:
        found.append(f"these errors are not declared: {sorted(missing)}")
    return found


def bounded(annotation: Any, metadata: list[Any]) -> bool:
    """Return whether a parameter can't be arbitrarily large."""
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata = [*metadata, *more]
    if get_origin(annotation) in UNIONS:
        return all(bounded(part, metadata) for part in get_args(annotation) if part is not NoneType)
    if isinstance(annotation, type) and (
        annotation in {bool, UUID, AwareDatetime}
        or issubclass(annotation, Enum)
        or annotation.__name__ in {"datetime", "date"}
    ):
        return True
    if annotation is str:
        return any(isinstance(limit, MaxLen) or getattr(limit, "pattern", None) for limit in metadata)
    if annotation in {int, float}:
        return any(isinstance(limit, Le | Lt) for limit in metadata)
    return any(isinstance(limit, MaxLen) for limit in metadata)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_route_keeps_the_rules(route: RouteInfo) -> None:
    assert not faults(route)


def test_the_walk_sees_every_route() -> None:
    app = bare_app()
    documented = {(route.method, route.path) for route in ROUTES if route.documented}
    assert documented == {(method, path) for method, path, _ in declared_routes(app)}
    assert len(OURS) > 25


@pytest.mark.parametrize("path", ["/health", "/live", "/ready", "/metrics", "/"])
def test_operations_are_public(path: str) -> None:
    [route] = [route for route in ROUTES if route.path == path]
    assert route.effective_rules == {"public"}


def test_lists_have_pages() -> None:
    """What answers a page takes its number and size."""
    schema = bare_app().openapi()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
            if answer.get("schema", {}).get("type") == "array":
                names = {parameter["name"] for parameter in operation["parameters"]}
                assert {"skip", "limit"} <= names, f"{method} {path} answers a list without bound"
            if "Page_" in answer.get("schema", {}).get("$ref", ""):
                names = {parameter["name"] for parameter in operation["parameters"]}
                assert {"page", "page_size"} <= names, f"{method} {path}"


def planted() -> FastAPI:  # noqa: C901 - a list of small routes
    """Return an application with one route for each rule that it breaks."""
    router = APIRouter(prefix=API_PREFIX)

    @router.get("/open", summary="s")
    def _open() -> dict[str, int]:
        return {}

    @router.get("/two-rules", dependencies=[PUBLIC], responses=problems(401), summary="s")
    def _two_rules(user: CurrentUser) -> dict[str, int]:
        return {}

    @router.get("/no-model", dependencies=[PUBLIC], response_model=None, summary="s")
    def _no_model() -> dict[str, int]:
        return {}

    @router.get("/admin", responses=problems(401), summary="s")
    def _admin(admin: Annotated[Principal, staff(Permission.OPERATE)]) -> dict[str, int]:
        return {}

    @router.get("/action", responses=problems(401), summary="s")
    def _action(caller: Annotated[Principal, may(Action.READ_CLAIMS)]) -> dict[str, int]:
        return {}

    @router.get("/of/{driver_id}", responses=problems(401, 422), summary="s")
    def _of(driver_id: AccessibleDriver) -> dict[str, int]:
        return {}

    @router.get("/limit", dependencies=[PUBLIC], responses=problems(422), summary="s")
    def _limit(limit: Annotated[int, Query(ge=1)] = 10) -> dict[str, int]:
        return {}

    @router.get("/search", dependencies=[PUBLIC], responses=problems(422), summary="s")
    def _search(search: str | None = None) -> dict[str, int]:
        return {}

    @router.get("/ids", dependencies=[PUBLIC], responses=problems(422), summary="s")
    def _ids(ids: Annotated[list[int], Query()] = ()) -> dict[str, int]:  # type: ignore[assignment]
        return {}

    @router.get("/undeclared", dependencies=[PUBLIC], summary="s")
    def _undeclared(page: PageParams) -> dict[str, int]:
        return {}

    return _app(router)


def good() -> FastAPI:
    """Return an application with one route that keeps every rule."""
    router = APIRouter(prefix=API_PREFIX)

    @router.get("/good", dependencies=[PUBLIC], responses=problems(422), summary="s")
    def _good(page: PageParams) -> dict[str, int]:
        return {}

    return _app(router)


def _app(router: APIRouter) -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("open", "auth rule"),
        ("two-rules", "auth rule"),
        ("no-model", "response model"),
        ("admin", "[403]"),
        ("action", "[403]"),
        ("of/{driver_id}", "404]"),
        ("limit", "limit is not bounded"),
        ("search", "search is not bounded"),
        ("ids", "ids is not bounded"),
        ("undeclared", "[422]"),
    ],
)
def test_a_planted_fault_is_seen(path: str, fault: str) -> None:
    [route] = [route for route in routes_of(planted()) if route.path == f"{API_PREFIX}/{path}"]
    assert any(fault in found for found in faults(route)), faults(route)


def test_a_good_route_has_no_faults() -> None:
    [route] = [route for route in routes_of(good()) if route.path == f"{API_PREFIX}/good"]
    assert faults(route) == []


def test_a_route_without_a_summary_is_seen() -> None:
    bare = RouteInfo("GET", f"{API_PREFIX}/x", "x", "", True, frozenset({"public"}), True, frozenset(), [])
    assert faults(bare) == ["without a summary"]
    wide = Parameter("n", "query", float, FieldInfo(annotation=float))
    assert not bounded(wide.annotation, wide.info.metadata)
