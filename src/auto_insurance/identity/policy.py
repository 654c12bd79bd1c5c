"""Who may do what on which driver. Pure and one table, so that it can be read and tested as one."""

from __future__ import annotations

from enum import StrEnum

from auto_insurance.identity.errors import DriverNotFound, NotAllowed
from auto_insurance.identity.schemas import DevicePrincipal, Principal, Role, Scope

ME = "me"
"""Stands for the caller's own driver in a path."""


class Action(StrEnum):
    """What somebody may want to do with a driver's data."""

    READ = "read"
    EDIT_CONTACT = "edit_contact"
    REQUEST_ERASURE = "request_erasure"
    SEND_TELEMETRY = "send_telemetry"
    MANAGE = "manage"


class Reach(StrEnum):
    """Whose data a permission covers."""

    OWN = "own"
    ANY = "any"


PERMISSIONS: dict[Role, dict[Action, Reach]] = {
    Role.DRIVER: {
        Action.READ: Reach.OWN,
        Action.EDIT_CONTACT: Reach.OWN,
        Action.REQUEST_ERASURE: Reach.OWN,
        Action.SEND_TELEMETRY: Reach.OWN,
    },
    Role.ADMIN: {
        Action.READ: Reach.ANY,
        Action.EDIT_CONTACT: Reach.ANY,
        Action.REQUEST_ERASURE: Reach.ANY,
        Action.MANAGE: Reach.ANY,
    },
}
"""Nothing is allowed that is not in here. An account without a role may only see itself."""

DRIVER_TOKEN_SCOPES = frozenset({Scope.INGEST.value})
"""A driver's own token sends live events; imports need a key that staff gave the scope."""


def reach(principal: Principal, action: Action) -> Reach | None:
    """Return the widest reach that the caller's roles give to an action, None if none does."""
    granted = {PERMISSIONS[Role(name)].get(action) for name in principal.roles if name in PERMISSIONS}
    if Reach.ANY in granted:
        return Reach.ANY
    return Reach.OWN if Reach.OWN in granted else None


def allows(principal: Principal, action: Action, driver_id: str) -> bool:
    """Return whether the caller may do this with that driver."""
    granted = reach(principal, action)
    return granted is Reach.ANY or (granted is Reach.OWN and principal.driver_id == driver_id)


def resolve_driver(principal: Principal, action: Action, driver_id: str) -> str:
    """Return the driver that a path means to the caller, ``me`` resolved.

    Raises ``DriverNotFound`` for whatever is not the caller's to touch; it never tells whether the driver exists.
    """
    wanted = principal.driver_id if driver_id == ME else driver_id
    if wanted is None or not allows(principal, action, wanted):
        raise DriverNotFound
    return wanted


def visible_driver(principal: Principal, driver_id: str | None) -> str | None:
    """Return the one driver that a list over drivers is to show the caller, None for all of them.

    Whoever may read any driver sees all or the one asked for; a driver sees itself. Raises ``DriverNotFound``.
    """
    if driver_id is None and reach(principal, Action.READ) is Reach.ANY:
        return None
    return resolve_driver(principal, Action.READ, driver_id or ME)


def require_admin(principal: Principal) -> Principal:
    """Return the caller. Raises ``NotAllowed`` unless it administers the system."""
    if reach(principal, Action.MANAGE) is not Reach.ANY:
        raise NotAllowed
    return principal


def as_sender(principal: Principal) -> DevicePrincipal:
    """Return a driver as a sender of its own telemetry. Raises ``NotAllowed`` for anybody else."""
    if principal.driver_id is None or not allows(principal, Action.SEND_TELEMETRY, principal.driver_id):
        raise NotAllowed("Telemetry is sent with a device key or the driver's own token.")
    return DevicePrincipal(device_id=None, driver_id=principal.driver_id, scopes=DRIVER_TOKEN_SCOPES)
