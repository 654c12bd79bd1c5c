"""The whole product on a database, reached without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints.api import make_app
from auto_insurance.identity.deps import current_user
from auto_insurance.identity.schemas import Principal, Role
from auto_insurance.infra.config import Settings, load_settings
from auto_insurance.kernel import ids

SECRET = "a-secret-for-tests-of-32-bytes-and-more"


def settings_for(database_url: str, **overrides: object) -> Settings:
    """Return settings that hold this database and nothing of the machine's environment."""
    named = {"DATABASE_URL": database_url, "JWT_SECRET_KEY": SECRET, "CACHE_TTL_FIGURES": "0"}  # as of now
    return load_settings(named, None, overrides)


@asynccontextmanager
async def product(database_url: str, **overrides: object) -> AsyncIterator[Container]:
    """Compose the product, close it at the end."""
    container = bootstrap.build(settings_for(database_url, **overrides), "api")
    try:
        yield container
    finally:
        await container.close()


def client_of(container: Container, *, driver_id: str | None = None, admin: bool = False) -> httpx.AsyncClient:
    """Return a client of all routes; signed in if a driver or the admin is named."""
    app: FastAPI = make_app(container)
    if driver_id is not None or admin:
        roles = frozenset({Role.ADMIN if admin else Role.DRIVER})
        person = Principal(user_id=ids.new_uuid(), username="somebody", roles=roles, driver_id=driver_id)
        app.dependency_overrides[current_user] = lambda: person
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/api/v1")
