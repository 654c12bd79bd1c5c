"""Who may call a route. Every route has one of these; a test walks the routes and looks for the mark they carry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import cache, partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Query
from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from auto_insurance.identity import permissions, policy
from auto_insurance.identity.errors import NotAuthenticated
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import DevicePrincipal, Principal
from auto_insurance.identity.service import AuthService, DeviceKeyService
from auto_insurance.infra.http.deps import service

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__auth_rule__"
_PERMISSION = "__permission__"
_ACTION = "__action__"
_PERSON = "__person__"
DRIVER_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"


def _rule(name: str, **marks: Any) -> Callable[[F], F]:
    def mark(function: F) -> F:
        for key, value in {_MARK: name, **marks}.items():
            setattr(function, key, value)
        return function

    return mark


def auth_rules(dependant: Dependant) -> frozenset[str]:
    """Return the rules on a route (``route.dependant``): public, user, admin, driver, device; empty if it has none."""
    return frozenset(_marks(dependant, _MARK))


def actions_of(dependant: Dependant) -> frozenset[Action]:
    """Return the actions that a route asks for."""
    return frozenset(_marks(dependant, _ACTION))


def permission_of(dependant: Dependant) -> Permission | None:
    """Return the permission that a route asks for, None where it asks for none."""
    return next(_marks(dependant, _PERMISSION), None)


def wants_person(dependant: Dependant) -> bool:
    """Return whether a route is for people, not for API keys."""
    return any(_marks(dependant, _PERSON))


def _marks(dependant: Dependant, name: str) -> Iterator[Any]:
    mark = getattr(dependant.call, name, None)
    if mark is not None:
        yield mark
    for child in dependant.dependencies:
        yield from _marks(child, name)


def rule_about_driver(dependant: Dependant) -> Callable[[Principal, str], Awaitable[str]] | None:
    """Return a route's rule about the driver in its path, None if it has none: from caller and path to who is meant."""
    if getattr(dependant.call, _MARK, None) == "driver":
        return dependant.call
    return next(filter(None, map(rule_about_driver, dependant.dependencies)), None)


def rule_of_staff(dependant: Dependant) -> Callable[[Principal], Awaitable[Principal]] | None:
    """Return a route's rule about the caller if it is that of staff alone: from the caller to itself; else None."""
    if auth_rules(dependant) != {"admin", "user"}:
        return None
    if getattr(dependant.call, _MARK, None) == "admin":
        return dependant.call
    return next(filter(None, map(rule_of_staff, dependant.dependencies)), None)


_bearer = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="JWT",
    auto_error=False,
    description="Access token from `POST /auth/login`, or an API key (`aik_...`).",
)
_api_key = APIKeyHeader(
    name="X-API-Key",
    scheme_name="api_key",
    auto_error=False,
    description="An integration's key from `POST /auth/api-keys`; its scopes say what it is good for.",
)
_device_key = APIKeyHeader(
    name="X-Device-Key",
    scheme_name="device_key",
    auto_error=False,
    description="A device's key, shown once when staff assign the device.",
)
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
_ApiKey = Annotated[str | None, Depends(_api_key)]
_Key = Annotated[str | None, Depends(_device_key)]
_Auth = Annotated[AuthService, service(AuthService)]
_Keys = Annotated[DeviceKeyService, service(DeviceKeyService)]


@_rule("public")
async def public() -> None:
    """Let everybody in: a decision, not an oversight."""


@_rule("user")
async def current_user(credentials: _Credentials, api_key: _ApiKey, auth: _Auth) -> Principal:
    """Return the signed-in person, or the API key with what it may do.

    Raises ``NotAuthenticated``, ``InvalidToken``, ``ExpiredToken`` or ``InvalidApiKey``.
    """
    if credentials is not None:
        return await auth.authenticate(credentials.credentials)
    if api_key is not None:
        return await auth.api_keys.check(api_key)
    raise NotAuthenticated


CurrentUser = Annotated[Principal, Depends(current_user)]


@_rule("public")
async def optional_user(credentials: _Credentials, api_key: _ApiKey, auth: _Auth) -> Principal | None:
    """Return whoever is signed in, None for anybody else. Raises what ``current_user`` raises for a wrong secret."""
    if credentials is None and api_key is None:
        return None
    return await current_user(credentials, api_key, auth)


OptionalUser = Annotated[Principal | None, Depends(optional_user)]
"""For routes that are open to everybody and know more for somebody who is signed in."""


@_rule("user", **{_PERSON: True})
async def signed_in_person(principal: CurrentUser) -> Principal:
    """Return the signed-in person. Raises ``NotAllowed`` for an API key."""
    return policy.require_person(principal)


Person = Annotated[Principal, Depends(signed_in_person)]
"""For what only people do: passwords, sessions, making keys."""


def staff(permission: Permission) -> Any:
    """Return a dependency: the signed-in person if a role of its brings ``permission``; else ``NotAllowed``.

    Use: ``admin: Annotated[Principal, staff(Permission.OPERATE)]``.
    """
    return Depends(_staff(permission))


@cache
def _staff(permission: Permission) -> Callable[..., Any]:
    @_rule("admin", **{_PERMISSION: permission})
    async def permitted(principal: CurrentUser) -> Principal:
        return permissions.require(principal, permission)

    return permitted


def may(action: Action) -> Any:
    """Return a dependency: whoever may do this with some driver; else ``NotAllowed``. The service checks with which.

    Use: ``caller: Annotated[Principal, may(Action.READ_CLAIMS)]``.
    """
    return Depends(_may(action))


@cache
def _may(action: Action) -> Callable[..., Any]:
    @_rule("user", **{_ACTION: action})
    async def permitted(principal: CurrentUser) -> Principal:
        return policy.require(principal, action)

    return permitted


async def located_by(principal: CurrentUser) -> Callable[[str], bool]:
    """Return what tells whether the caller may see raw positions of a driver."""
    return partial(policy.may_locate, principal)


def driver_for(action: Action) -> Any:
    """Return a dependency: the path's driver if the caller may do this with it.

    Raises ``DriverNotFound`` and ``NotAllowed``. Use: ``driver_id: Annotated[str, driver_for(Action.READ_TRIPS)]``.
    """
    return Depends(_driver_for(action))


@cache
def _driver_for(action: Action) -> Callable[..., Any]:
    @_rule("driver", **{_ACTION: action})
    async def accessible_driver(
        principal: CurrentUser,
        driver_id: Annotated[
            str,
            Path(pattern=DRIVER_ID_PATTERN, description="A driver's id, or `me`.", examples=["DRV001"]),
        ],
    ) -> str:
        return policy.resolve_driver(principal, action, driver_id)

    return accessible_driver


def drivers_for(action: Action) -> Any:
    """Return a dependency: the driver whose part of a list the caller may see, None for all.

    Raises ``DriverNotFound`` and ``NotAllowed``.
    """
    return Depends(_drivers_for(action))


@cache
def _drivers_for(action: Action) -> Callable[..., Any]:
    @_rule("driver", **{_ACTION: action})
    async def visible_driver(
        principal: CurrentUser,
        driver_id: Annotated[
            str | None,
            Query(pattern=DRIVER_ID_PATTERN, description="Only this driver, or `me`; by default all that you may see."),
        ] = None,
    ) -> str | None:
        return policy.visible_driver(principal, driver_id, action)

    return visible_driver


def optional_driver_for(action: Action) -> Any:
    """Return a dependency: the driver that somebody asks for in the query, None without.

    Raises ``NotAuthenticated``, ``DriverNotFound`` and ``NotAllowed``.
    """

    @_rule("public")
    async def optional_driver(
        principal: OptionalUser,
        driver_id: Annotated[
            str | None,
            Query(pattern=DRIVER_ID_PATTERN, description="A driver of ours that the caller may see, or `me`."),
        ] = None,
    ) -> str | None:
        if driver_id is None:
            return None
        if principal is None:
            raise NotAuthenticated("Sign in to ask for a driver.")
        return policy.resolve_driver(principal, action, driver_id)

    return Depends(optional_driver)


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
AccessibleDriver = Annotated[str, driver_for(Action.READ)]
"""A driver of the path whose own facts are read; other actions name themselves: ``driver_for``."""
VisibleDriver = Annotated[str | None, drivers_for(Action.READ)]
DeviceOrDriver = Annotated[DevicePrincipal, Depends(device_or_driver)]
