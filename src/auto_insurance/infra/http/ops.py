"""Routes for those who run it: health, liveness, readiness, metrics. Outside ``/api/v1``, without a sign-in."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from auto_insurance.infra import metrics
from auto_insurance.infra.health import HealthRegistry, Lifecycle, Phase, Status
from auto_insurance.infra.http.errors import HttpProblem, problems

router = APIRouter(tags=["operations"])


class CheckView(BaseModel):
    """One dependency."""

    status: Status
    latency_ms: float = Field(description="Time that it took to answer.")
    detail: str | None = Field(default=None, description="What is wrong, if something is.")


class HealthView(BaseModel):
    """The whole and its parts."""

    status: Status
    version: str
    checks: dict[str, CheckView] = Field(description="database, redis, event_log, consumer")


class LiveView(BaseModel):
    """The process runs."""

    status: Literal["alive"] = "alive"


class ReadyView(BaseModel):
    """The process takes traffic."""

    status: Literal["ready"] = "ready"


@router.get("/health", summary="Health with the latency of each dependency", responses={503: {"model": HealthView}})
async def health(request: Request, response: Response) -> HealthView:
    """Look at every dependency; 503 if one fails without which nothing works."""
    registry: HealthRegistry = request.app.state.health
    report = await registry.run()
    response.headers["Cache-Control"] = "no-store"
    if report.status is Status.UNHEALTHY:
        response.status_code = 503
    checks = {
        result.name: CheckView(status=result.status, latency_ms=result.latency_ms, detail=result.detail or None)
        for result in report.checks
    }
    return HealthView(status=report.status, version=request.app.version, checks=checks)


@router.get("/live", summary="Liveness: the process answers")
async def live() -> LiveView:
    """Answer without asking any dependency."""
    return LiveView()


@router.get("/ready", summary="Readiness: the process takes traffic", responses=problems(503))
async def ready(request: Request) -> ReadyView:
    """Answer 200, or 503 with the reason: starting, draining, or which dependency fails."""
    lifecycle: Lifecycle = request.app.state.lifecycle
    if lifecycle.phase is not Phase.SERVING:
        raise HttpProblem(503, f"The process is {lifecycle.phase.value}.", lifecycle.phase.value)
    registry: HealthRegistry = request.app.state.health
    failing = (await registry.run()).failing
    if failing:
        raise HttpProblem(503, f"Not answering: {', '.join(failing)}.", "dependency_unavailable")
    return ReadyView()


@router.get(
    "/metrics",
    summary="Prometheus metrics of all processes of this host",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(404)},
)
def metrics_text(request: Request) -> Response:
    """Answer Prometheus's text format; 404 with ENABLE_METRICS off. Runs in a thread: it may read files."""
    if not getattr(request.app.state, "metrics_enabled", True):
        raise HttpProblem(404, "Metrics are switched off (ENABLE_METRICS).", "metrics_disabled")
    return Response(metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})
