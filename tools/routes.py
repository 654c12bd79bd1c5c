"""The application's routes as its rules see them: who may call, what comes in, what goes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.responses import Response
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic.fields import FieldInfo

from auto_insurance.identity.deps import actions_of, auth_rules, permission_of, wants_person
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.policy import Action

WIDER = {"user": 0, "driver": 1, "admin": 2}
"""An admin's or driver's rule rests on the user's: the strictest counts."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the query, the path or a header."""

    name: str
    place: str
    annotation: Any
    info: FieldInfo


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """One route under one method."""

    method: str
    path: str
    name: str
    summary: str
    documented: bool
    rules: frozenset[str]
    answers: bool
    """There is a response model, or a response class that says what kind of body comes."""
    problems: frozenset[int]
    parameters: Sequence[Parameter]
    permission: Permission | None = None
    actions: frozenset[Action] = frozenset()
    for_people: bool = False
    """Not for API keys."""

    @property
    def effective_rules(self) -> frozenset[str]:
        """The rules without those that others contain: staff and drivers are signed-in users."""
        ranked = sorted(self.rules & WIDER.keys(), key=lambda rule: WIDER[rule])
        return (self.rules - WIDER.keys()) | frozenset(ranked[-1:])


def routes_of(app: FastAPI) -> list[RouteInfo]:
    """Return all routes of our own, by path and method; the documentation pages of FastAPI are not among them."""
    found = [
        _info(context, context.original_route, method)
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
        for method in context.methods or ()
    ]
    return sorted(found, key=lambda route: (route.path, route.method))


def _info(context: RouteContext, route: APIRoute, method: str) -> RouteInfo:
    dependant: Dependant = context.dependant
    return RouteInfo(
        method=method,
        path=context.path_format or "",
        name=context.name or "",
        summary=context.summary or "",
        documented=context.include_in_schema,
        rules=auth_rules(dependant),
        answers=context.response_model is not None or _names_its_class(route),
        problems=frozenset(int(status) for status in context.responses if int(status) >= 400),
        parameters=list(_parameters(dependant)),
        permission=permission_of(dependant),
        actions=actions_of(dependant),
        for_people=wants_person(dependant),
    )


def _names_its_class(route: APIRoute) -> bool:
    """Text, pages and redirects have no model; the response class or the return type says so."""
    declared, returns = route.response_class, get_type_hints(route.endpoint).get("return")
    return any(isinstance(kind, type) and issubclass(kind, Response) for kind in (declared, returns))


def _parameters(dependant: Dependant) -> Iterator[Parameter]:
    for place in ("query", "path", "header", "cookie"):
        for field in getattr(dependant, f"{place}_params"):
            yield Parameter(field.alias, place, field.field_info.annotation, field.field_info)
    for child in dependant.dependencies:
        yield from _parameters(child)
