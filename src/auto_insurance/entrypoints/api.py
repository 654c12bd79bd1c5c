"""The API process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from starlette.middleware import Middleware
from starlette.types import StatefulLifespan

from auto_insurance import __version__, bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints import accounts, process
from auto_insurance.identity.deps import PUBLIC
from auto_insurance.identity.service import ApiKeyService, PasswordService
from auto_insurance.infra import metrics
from auto_insurance.infra.config import Settings
from auto_insurance.infra.config.groups_web import origins_of
from auto_insurance.infra.http.app import AppOptions, AppState, attach_state, create_app
from auto_insurance.infra.http.bodies import BodyLimits
from auto_insurance.infra.http.front import front
from auto_insurance.infra.http.routes import declared_routes
from auto_insurance.telematics.service import ContactBook

log = structlog.get_logger(__name__)
_DRAIN_NOTICE_S = 0.2
"""Time between the first 503 of ``/ready`` and the closing of the socket, for proxies that look in between."""


def make_app(container: Container) -> FastAPI:
    """Return the whole application on a composed container; closing the app does not close the container."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        await bootstrap.wait_for_warmth(container)
        container.lifecycle.serve()
        yield {}
        container.lifecycle.drain()

    web = container.settings.web
    app = bare_app(
        bootstrap.body_limits(container.settings), lifespan, front=front(origins_of(web.cors_origins), web.hsts_s)
    )
    state = AppState(
        container.database,
        services=container.services,
        health=bootstrap.health(container),
        lifecycle=container.lifecycle,
        metrics_enabled=container.settings.metrics.enabled,
        reads=bootstrap.read_table(container, app),
    )
    attach_state(app, state)
    metrics.init_series(bootstrap.series_plan(container.settings, declared_routes(app)))
    return app


def bare_app(
    limits: BodyLimits | None = None,
    lifespan: StatefulLifespan[FastAPI] | None = None,
    *,
    front: Sequence[Middleware] = (),
) -> FastAPI:
    """Return the application with all its routes but nothing behind them: enough to describe it."""
    options = AppOptions(version=__version__, limits=limits or BodyLimits(), front=front)
    app = create_app(
        options,
        bootstrap.routers(),
        public=[PUBLIC],
        lanes=bootstrap.lanes(),
        lifespan=lifespan,
        recorder=bootstrap.record,
    )

    @app.get("/", include_in_schema=False, dependencies=[PUBLIC])
    def index() -> RedirectResponse:
        """Lead to the API's documentation."""
        return RedirectResponse("/docs")

    return app


class _Server(uvicorn.Server):
    """Leaves signals to the process, which drains before it closes the socket."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; finish what is under way within the shutdown time."""
    process.prepare(settings, "api")
    container = bootstrap.build(settings, "api")

    async def body(stop: asyncio.Event) -> None:
        config = uvicorn.Config(
            make_app(container),
            host=settings.server.host,
            port=settings.server.port,
            loop="uvloop",
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=settings.server.forwarded_allow_ips,
            timeout_graceful_shutdown=int(settings.server.shutdown_timeout_s),
            backlog=2048,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve())
        beside = asyncio.create_task(_beside(container, stop))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        container.lifecycle.drain()
        await asyncio.sleep(_DRAIN_NOTICE_S)
        server.should_exit = True
        await serving
        stop.set()
        await asyncio.gather(beside, stopping)
        await container.close()

    process.run(body)


async def _beside(container: Container, stop: asyncio.Event) -> None:
    """Do what goes on beside answering: topics, accounts, contacts of devices, last uses of keys, links by mail."""
    async with asyncio.TaskGroup() as group:
        group.create_task(bootstrap.prepare_log(container, stop))
        group.create_task(accounts.prepare(container, stop))
        group.create_task(container.get(ContactBook).run(stop))
        group.create_task(container.get(ApiKeyService).run(stop))
        group.create_task(container.get(PasswordService).run(stop))
        group.create_task(container.cache.run(stop))
        group.create_task(bootstrap.warm_up(container, stop))
