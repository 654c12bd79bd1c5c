"""Who may call a route. Every route has one of these; a test walks the routes and looks for the mark they carry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Query
from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from auto_insurance.identity import permissions, policy
from auto_insurance.identity.errors import NotAllowed, NotAuthenticated
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.schemas import DevicePrincipal, Principal
from auto_insurance.identity.service import AuthService, DeviceKeyService
from auto_insurance.infra.http.deps import service

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__auth_rule__"
_PERMISSION = "__permission__"
DRIVER_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"


def _rule(name: str) -> Callable[[F], F]:
    def mark(function: F) -> F:
        setattr(function, _MARK, name)
        return function

    return mark


def auth_rules(dependant: Dependant) -> frozenset[str]:
    """Return the rules on a route (``route.dependant``): public, user, admin, driver, device; empty if it has none."""
    return frozenset(_walk(dependant))


def _walk(dependant: Dependant) -> Iterator[str]:
    rule = getattr(dependant.call, _MARK, None)
    if rule is not None:
        yield rule
    for child in dependant.dependencies:
        yield from _walk(child)


def rule_about_driver(dependant: Dependant) -> Callable[[Principal, str], Awaitable[str]] | None:
    """Return a route's rule about the driver in its path, None if it has none: from caller and path to who is meant."""
    if getattr(dependant.call, _MARK, None) == "driver":
        return dependant.call
    return next(filter(None, map(rule_about_driver, dependant.dependencies)), None)


_bearer = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="JWT",
    auto_error=False,
    description="Access token from `POST /auth/login`.",
)
_device_key = APIKeyHeader(
    name="X-Device-Key",
    scheme_name="device_key",
    auto_error=False,
    description="A device's key, shown once when staff assign the device.",
)
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
_Key = Annotated[str | None, Depends(_device_key)]
_Auth = Annotated[AuthService, service(AuthService)]
_Keys = Annotated[DeviceKeyService, service(DeviceKeyService)]


@_rule("public")
async def public() -> None:
    """Let everybody in: a decision, not an oversight."""


@_rule("user")
async def current_user(credentials: _Credentials, auth: _Auth) -> Principal:
    """Return the signed-in person. Raises ``NotAuthenticated``, ``InvalidToken`` or ``ExpiredToken``."""
    if credentials is None:
        raise NotAuthenticated
    return await auth.authenticate(credentials.credentials)


CurrentUser = Annotated[Principal, Depends(current_user)]


@_rule("public")
async def optional_user(credentials: _Credentials, auth: _Auth) -> Principal | None:
    """Return the signed-in person, None for anybody else. Raises ``InvalidToken`` or ``ExpiredToken``."""
    return None if credentials is None else await auth.authenticate(credentials.credentials)


OptionalUser = Annotated[Principal | None, Depends(optional_user)]
"""For routes that are open to everybody and know more for somebody who is signed in."""


@_rule("public")
async def optional_driver(
    principal: OptionalUser,
    driver_id: Annotated[
        str | None,
        Query(pattern=DRIVER_ID_PATTERN, description="A driver of ours that the caller may see, or `me`."),
    ] = None,
) -> str | None:
    """Return the driver that somebody asks for, None without. Raises ``NotAuthenticated`` and ``DriverNotFound``."""
    if driver_id is None:
        return None
    if principal is None:
        raise NotAuthenticated("Sign in to ask for a driver.")
    return policy.resolve_driver(principal, policy.Action.READ, driver_id)


OptionalDriver = Annotated[str | None, Depends(optional_driver)]


@_rule("admin")
async def admin_user(principal: CurrentUser) -> Principal:
    """Return the signed-in person if it is an admin. Raises ``NotAllowed``."""
    if not principal.is_admin:
        raise NotAllowed
    return principal


def staff(permission: Permission) -> Any:
    """Return a dependency: the signed-in person if a role of its brings ``permission``; else ``NotAllowed``.

    Use: ``admin: Annotated[Principal, staff(Permission.OPERATE)]``.
    """

    @_rule("admin")
    async def permitted(principal: CurrentUser) -> Principal:
        return permissions.require(principal, permission)

    setattr(permitted, _PERMISSION, permission)
    return Depends(permitted)


def permission_of(dependant: Dependant) -> Permission | None:
    """Return the permission that a route asks for (``route.dependant``), None where it asks for none."""
    own: Permission | None = getattr(dependant.call, _PERMISSION, None)
    return own or next(filter(None, map(permission_of, dependant.dependencies)), None)


@_rule("driver")
async def accessible_driver(
    principal: CurrentUser,
    driver_id: Annotated[
        str,
        Path(pattern=DRIVER_ID_PATTERN, description="A driver's id, or `me`.", examples=["DRV001"]),
    ],
) -> str:
    """Return the path's driver if the caller may read it. Raises ``DriverNotFound``."""
    return policy.resolve_driver(principal, policy.Action.READ, driver_id)


async def located_by(principal: CurrentUser) -> Callable[[str], bool]:
    """Return what tells whether the caller may see raw positions of a driver."""
    return partial(policy.may_locate, principal)


@_rule("driver")
async def visible_driver(
    principal: CurrentUser,
    driver_id: Annotated[
        str | None,
        Query(pattern=DRIVER_ID_PATTERN, description="Only this driver, or `me`; by default all that you may see."),
    ] = None,
) -> str | None:
    """Return the driver whose part of a list the caller may read, None for all. Raises ``DriverNotFound``."""
    return policy.visible_driver(principal, driver_id)


@_rule("device")
async def device_or_driver(key: _Key, credentials: _Credentials, keys: _Keys, auth: _Auth) -> DevicePrincipal:
    """Return who sends telemetry: a device by key, else the driver of the bearer token.

    Raises ``InvalidDeviceKey``, ``NotAllowed`` and what ``current_user`` raises.
    """
    if key is not None:
        return await keys.check(key)
    if credentials is None:
        raise NotAuthenticated("Send a device key in X-Device-Key or a driver's bearer token.")
    return policy.as_sender(await auth.authenticate(credentials.credentials))


PUBLIC = Depends(public)
MayLocate = Annotated[Callable[[str], bool], Depends(located_by)]
AdminUser = Annotated[Principal, Depends(admin_user)]
AccessibleDriver = Annotated[str, Depends(accessible_driver)]
VisibleDriver = Annotated[str | None, Depends(visible_driver)]
DeviceOrDriver = Annotated[DevicePrincipal, Depends(device_or_driver)]
