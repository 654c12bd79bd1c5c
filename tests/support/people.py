"""An application of identity and drivers alone, for their tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, cast

import httpx
from fastapi import FastAPI

from auto_insurance.drivers.api import router as drivers_router
from auto_insurance.drivers.schemas import DriverCreate
from auto_insurance.drivers.service import DriverService
from auto_insurance.identity.api import router as auth_router
from auto_insurance.identity.schemas import NewUser, Role
from auto_insurance.identity.service import (
    ApiKeyOptions,
    ApiKeyService,
    AuthService,
    DeviceKeyService,
    GuardOptions,
    HashOptions,
    KeyOptions,
    OidcOptions,
    OidcProvider,
    OidcService,
    Passwords,
    PasswordService,
    ResetOptions,
    SessionOptions,
    TokenOptions,
    UserAdmin,
    UserService,
)
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.http.app import AppOptions, AppState, attach_state, create_app
from auto_insurance.infra.mail import Mailer, NoMailer

S = TypeVar("S")
SECRET = "a-secret-for-tests-of-32-bytes-and-more"
CHEAP = HashOptions(time_cost=1, memory_kib=64)


@dataclass(frozen=True)
class People:
    """The services, and how to reach them over HTTP."""

    db: Database
    app: FastAPI
    passwords: Passwords
    auth: AuthService
    users: UserService
    keys: DeviceKeyService
    drivers: DriverService
    services: dict[type, object] = field(default_factory=dict)

    def get(self, cls: type[S]) -> S:
        """Return a composed service."""
        return cast("S", self.services[cls])

    def client(self, token: str | None = None) -> httpx.AsyncClient:
        """Return a client, signed in if a token is given."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1", headers=headers)

    async def token(self, username: str, password: str) -> str:
        """Return an access token."""
        return (await self.auth.login(username, password, address="test")).access_token

    async def seed(self) -> None:
        """Create admin/admin123 and two drivers with logins, as the demo does."""
        async with self.db.begin() as uow:
            await self.users.ensure_user(uow, NewUser(username="admin", roles=frozenset({Role.ADMIN})), "admin123")
            for number in (1, 2):
                driver = await self.drivers.ensure_driver(uow, number, DriverCreate(state="IL"))
                user = NewUser(
                    username=f"driver{number:04d}", roles=frozenset({Role.DRIVER}), driver_id=driver.driver_id
                )
                await self.users.ensure_user(uow, user, f"password{number:04d}")


def make_people(
    db: Database,
    *,
    sessions: SessionOptions | None = None,
    keys: KeyOptions | None = None,
    hashes: HashOptions = CHEAP,
    guard: GuardOptions | None = None,
    api_keys: ApiKeyOptions | None = None,
    mailer: Mailer | None = None,
    oidc: OidcProvider | None = None,
    oidc_options: OidcOptions | None = None,
) -> People:
    """Compose the services on a database."""
    passwords = Passwords(hashes)
    auth = AuthService(
        db, passwords, TokenOptions(secret_key=SECRET), sessions, guard=guard, api_keys=ApiKeyService(db, api_keys)
    )
    users = UserService(db, passwords)
    key_service = DeviceKeyService(db, keys)
    driver_service = DriverService(users, key_service)
    app = create_app(AppOptions(), [auth_router, drivers_router])
    services: dict[type, object] = {
        AuthService: auth,
        UserService: users,
        DeviceKeyService: key_service,
        DriverService: driver_service,
        PasswordService: PasswordService(db, passwords, auth, mailer or NoMailer(), ResetOptions(retry_s=0.01)),
        UserAdmin: UserAdmin(users, auth),
        OidcService: OidcService(db, auth, oidc, oidc_options),
    }
    attach_state(app, AppState(database=db, services=services))
    return People(db, app, passwords, auth, users, key_service, driver_service, services)
