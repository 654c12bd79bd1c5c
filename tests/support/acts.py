"""The audit log as tests look at it, and people who act."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from fastapi import FastAPI
from sqlalchemy import text

from auto_insurance.audit.schemas import AuditItem
from auto_insurance.audit.service import AuditFilter, AuditSequencer, AuditService
from auto_insurance.bootstrap import Container
from auto_insurance.entrypoints.api import make_app
from auto_insurance.identity.schemas import NewUser, Role
from auto_insurance.identity.service import UserService
from auto_insurance.infra.db.uow import Database, UnitOfWork

STAFF, PASSWORD = "zoya-wuhl", "a-password-of-staff-1"  # no hash spells that


@dataclass(frozen=True, slots=True)
class Office:
    """The whole product with one member of staff, who is signed in."""

    container: Container
    app: FastAPI
    token: str
    refresh_token: str

    @property
    def db(self) -> Database:
        return self.container.database

    @property
    def service(self) -> AuditService:
        return self.container.get(AuditService)

    @property
    def sequencer(self) -> AuditSequencer:
        return self.container.get(AuditSequencer)

    def client(self, *, signed_in: bool = True) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"} if signed_in else {}
        transport = httpx.ASGITransport(self.app, client=("192.0.2.7", 1))
        return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1", headers=headers)

    async def rows(self) -> list[AuditItem]:
        """Return all rows, the oldest first."""
        async with self.db.read() as uow:
            found, _ = await self.service.page(uow, AuditFilter(), limit=10_000, offset=0)
        return [AuditItem.of(one) for one in reversed(found)]

    async def new_rows(self, before: int) -> list[AuditItem]:
        """Return the rows after the first ``before``."""
        return (await self.rows())[before:]


async def make_office(container: Container) -> Office:
    """Create the member of staff and sign in; that leaves the first row."""
    async with container.database.begin() as uow:
        await container.get(UserService).ensure_user(
            uow, NewUser(username=STAFF, roles=frozenset({Role.ADMIN})), PASSWORD
        )
    app = make_app(container)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/api/v1") as client:
        answer = await client.post("/auth/login", json={"username": STAFF, "password": PASSWORD})
    found = answer.json()
    return Office(container, app, found["access_token"], found["refresh_token"])


async def by_force(database: Database, *statements: str) -> None:
    """Change tables as a superuser could: past every trigger."""
    async with database.begin() as uow:
        await _without_triggers(uow)
        for statement in statements:
            await uow.conn.execute(text(statement))


async def _without_triggers(uow: UnitOfWork) -> None:
    await uow.conn.execute(text("SET LOCAL session_replication_role = replica"))
