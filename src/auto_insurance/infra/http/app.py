"""The web application without its domains: errors, middleware, operations, OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.params import Depends as DependsParameter
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from starlette.middleware import Middleware
from starlette.types import StatefulLifespan

from auto_insurance.infra import acting
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.health import HealthRegistry, Lifecycle
from auto_insurance.infra.http import ops
from auto_insurance.infra.http.bodies import BodyLimits, BodyMiddleware
from auto_insurance.infra.http.docs import add_docs
from auto_insurance.infra.http.encodings import PackMiddleware
from auto_insurance.infra.http.errors import MEDIA_TYPE, Problem, install_error_handlers
from auto_insurance.infra.http.lanes import Lane, LaneMiddleware
from auto_insurance.infra.http.middleware import RequestMiddleware, SecurityHeadersMiddleware
from auto_insurance.infra.http.reads import ReadMiddleware
from auto_insurance.infra.http.reads_table import ReadTable

API_PREFIX = "/api/v1"
_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
_WITH_BODY = (400, 413, 503)
_PROBLEM_REF = "#/components/schemas/Problem"


@dataclass(frozen=True, slots=True)
class AppState:
    """What routes find in ``request.app.state``."""

    database: Database
    services: Mapping[type, object] = field(default_factory=dict)
    health: HealthRegistry = field(default_factory=HealthRegistry)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    metrics_enabled: bool = True
    reads: ReadTable | None = None


@dataclass(frozen=True, slots=True)
class AppOptions:
    """What the application says of itself and what it takes."""

    title: str = "Auto-Insurance-System"
    version: str = "0"
    description: str = "Usage-based motor insurance: driving events to trips, risk score and premium."
    limits: BodyLimits = field(default_factory=BodyLimits)
    front: Sequence[Middleware] = ()
    """Stands before all else; see :mod:`auto_insurance.infra.http.front`."""


def create_app(
    options: AppOptions,
    routers: Sequence[APIRouter],
    *,
    public: Sequence[DependsParameter] = (),
    lanes: Mapping[tuple[str, str], Lane] | None = None,
    lifespan: StatefulLifespan[FastAPI] | None = None,
    recorder: acting.Recorder | None = None,
) -> FastAPI:
    """Return the application: ``routers`` under ``/api/v1``, operations outside of it with the mark ``public``.

    ``lanes`` are short ways to routes under ``/api/v1``, by method and path without that prefix. ``recorder`` writes
    the record of every transaction that a request opens.

    Call :func:`attach_state` before the first request (in the lifespan, or at once).
    """
    app = FastAPI(
        title=options.title,
        version=options.version,
        description=options.description,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        telemetry=_NO_TELEMETRY,
        # Outermost first.
        middleware=[
            *options.front,
            Middleware(ReadMiddleware),
            Middleware(SecurityHeadersMiddleware),
            Middleware(RequestMiddleware, recorder=recorder),
            Middleware(BodyMiddleware, limits=options.limits),
            Middleware(
                LaneMiddleware,
                lanes={(method, f"{API_PREFIX}{path}"): lane for (method, path), lane in (lanes or {}).items()},
            ),
            # Innermost: what takes a lane is answered in a few bytes, and pays for no packing.
            Middleware(PackMiddleware, secret=f"{API_PREFIX}/auth/"),
        ],
    )
    install_error_handlers(app)
    add_docs(app, list(public))
    app.include_router(ops.router, dependencies=list(public))
    for router in routers:
        app.include_router(router, prefix=API_PREFIX)
    _document_problems(app)
    return app


def attach_state(app: FastAPI, state: AppState) -> None:
    """Give the routes what they work with."""
    app.state.database = state.database
    app.state.services = state.services
    app.state.health = state.health
    app.state.lifecycle = state.lifecycle
    app.state.metrics_enabled = state.metrics_enabled
    app.state.reads = state.reads


def _operation_id(route: APIRoute) -> str:
    """Name operations after their functions, for readable generated clients."""
    tag = str(route.tags[0]).replace("-", "_").replace(" ", "_") if route.tags else "root"
    return f"{tag}_{route.name}"


def _document_problems(app: FastAPI) -> None:
    """Make the OpenAPI document tell the media type and form that errors really have."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name, schema in _problem_schemas().items():
                schemas.setdefault(name, schema)
            for operations in document.get("paths", {}).values():
                for operation in operations.values():
                    _declare_common(operation)
                    for status, response in operation.get("responses", {}).items():
                        _as_problem(status, response)
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _declare_common(operation: dict[str, Any]) -> None:
    """Declare what the layers before a route answer to a body that is no JSON or too large, or when all is full."""
    for status in _WITH_BODY if "requestBody" in operation else ():
        operation["responses"].setdefault(
            str(status),
            {
                "description": HTTPStatus(status).phrase,
                "content": {"application/json": {"schema": {"$ref": _PROBLEM_REF}}},
            },
        )


def _problem_schemas() -> dict[str, Any]:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), "Problem": schema}


def _as_problem(status: str, response: dict[str, Any]) -> None:
    # Routes that answer in another form, such as CSV, declare their errors in it.
    forms = response.get("content", {}).values()
    ref = next((form.get("schema", {}).get("$ref", "") for form in forms), "")
    if ref in {_PROBLEM_REF, "#/components/schemas/HTTPValidationError"} and status >= "400":
        response["content"] = {MEDIA_TYPE: {"schema": {"$ref": _PROBLEM_REF}}}
        if status == "422":
            response["description"] = "Wrong input"
