"""Who may do what on which driver. Pure and two tables, so that they can be read and tested as tables."""

from __future__ import annotations

from enum import StrEnum

from auto_insurance.identity.errors import DriverNotFound, NotAllowed
from auto_insurance.identity.schemas import ApiScope, DevicePrincipal, Principal, Role, Scope

ME = "me"
"""Stands for the caller's own driver in a path."""


class Action(StrEnum):
    """What somebody may want to do with a driver's data."""

    READ = "read"
    """The driver, its vehicles and devices."""
    READ_TRIPS = "read_trips"
    """Trips, miles and behaviour, without the places."""
    LOCATE = "locate"
    """Raw positions: the path of a trip, the points of events and of evidence."""
    READ_RISK = "read_risk"
    READ_PRICING = "read_pricing"
    READ_POLICIES = "read_policies"
    READ_CLAIMS = "read_claims"
    READ_REWARDS = "read_rewards"
    EDIT_CONTACT = "edit_contact"
    REQUEST_ERASURE = "request_erasure"
    SET_CONSENTS = "set_consents"
    EXPORT = "export"
    """All of a driver's data in one file, places and all."""
    DISPUTE_TRIPS = "dispute_trips"
    EDIT_POLICIES = "edit_policies"
    """Bind, change, pay, cancel, renew."""
    REPORT_CLAIMS = "report_claims"
    """First notice of loss."""
    EDIT_CLAIMS = "edit_claims"
    """Go on with a claim: amend it, move it on, look at its evidence anew."""
    REDEEM_REWARDS = "redeem_rewards"
    SEND_TELEMETRY = "send_telemetry"
    """Live events, with the driver's own token."""
    IMPORT_TELEMETRY = "import_telemetry"
    """Files of recorded drives."""


class Reach(StrEnum):
    """Whose data a permission covers."""

    OWN = "own"
    ANY = "any"


READS = frozenset(
    {
        Action.READ,
        Action.READ_TRIPS,
        Action.READ_RISK,
        Action.READ_PRICING,
        Action.READ_POLICIES,
        Action.READ_CLAIMS,
        Action.READ_REWARDS,
    }
)
"""Actions that change nothing and show no place."""


def _any(*actions: Action) -> dict[Action, Reach]:
    return dict.fromkeys(actions, Reach.ANY)


PERMISSIONS: dict[Role, dict[Action, Reach]] = {
    Role.DRIVER: dict.fromkeys(
        (
            *READS,
            Action.LOCATE,
            Action.EDIT_CONTACT,
            Action.REQUEST_ERASURE,
            Action.SET_CONSENTS,
            Action.EXPORT,
            Action.DISPUTE_TRIPS,
            Action.EDIT_POLICIES,
            Action.REPORT_CLAIMS,
            Action.EDIT_CLAIMS,
            Action.REDEEM_REWARDS,
            Action.SEND_TELEMETRY,
            Action.IMPORT_TELEMETRY,
        ),
        Reach.OWN,
    ),
    Role.AGENT: _any(
        Action.READ,
        Action.READ_RISK,
        Action.READ_PRICING,
        Action.READ_POLICIES,
        Action.READ_CLAIMS,
        Action.READ_REWARDS,
        Action.EDIT_CONTACT,
        Action.REQUEST_ERASURE,
        Action.EDIT_POLICIES,
        Action.REPORT_CLAIMS,
    ),
    Role.UNDERWRITER: _any(*READS, Action.EDIT_POLICIES),
    Role.ACTUARY: _any(*READS),
    Role.AUDITOR: _any(*READS, Action.LOCATE),
    Role.SERVICE: _any(
        *READS,
        Action.LOCATE,
        Action.EDIT_POLICIES,
        Action.REPORT_CLAIMS,
        Action.EDIT_CLAIMS,
        Action.IMPORT_TELEMETRY,
    ),
    Role.ADMIN: _any(*(set(Action) - {Action.SEND_TELEMETRY})),
}
"""Nothing is allowed that is not in here. An account without a role may only see itself."""

SCOPES: dict[ApiScope, frozenset[Action]] = {
    ApiScope.READ_DRIVERS: frozenset({Action.READ, Action.READ_REWARDS}),
    ApiScope.READ_TRIPS: frozenset({Action.READ_TRIPS}),
    ApiScope.READ_LOCATIONS: frozenset({Action.LOCATE}),
    ApiScope.READ_RISK: frozenset({Action.READ_RISK}),
    ApiScope.READ_PRICING: frozenset({Action.READ_PRICING}),
    ApiScope.READ_POLICIES: frozenset({Action.READ_POLICIES}),
    ApiScope.WRITE_POLICIES: frozenset({Action.READ_POLICIES, Action.EDIT_POLICIES}),
    ApiScope.READ_CLAIMS: frozenset({Action.READ_CLAIMS}),
    ApiScope.WRITE_CLAIMS: frozenset({Action.READ_CLAIMS, Action.REPORT_CLAIMS, Action.EDIT_CLAIMS}),
    ApiScope.WRITE_WEBHOOKS: frozenset(),
    ApiScope.IMPORT: frozenset({Action.IMPORT_TELEMETRY}),
}
"""What a scope lets through of what the roles of the key's owner allow: both must agree."""

DRIVER_TOKEN_SCOPES = frozenset({Scope.INGEST.value})
"""A driver's own token sends live events; imports need a key that staff gave the scope."""


def roles_in_force(principal: Principal) -> frozenset[Role]:
    """Return the caller's roles that count: that of an integration counts for its keys only."""
    known = frozenset(Role(name) for name in principal.roles if name in PERMISSIONS)
    return known if principal.is_key else known - {Role.SERVICE}


def reach(principal: Principal, action: Action) -> Reach | None:
    """Return the widest reach that the caller's roles give to an action, None if none does or its scopes don't."""
    scopes = principal.scopes
    if scopes is not None and not any(action in SCOPES[ApiScope(name)] for name in scopes if name in SCOPES):
        return None
    granted = {PERMISSIONS[role].get(action) for role in roles_in_force(principal)}
    if Reach.ANY in granted:
        return Reach.ANY
    return Reach.OWN if Reach.OWN in granted else None


def allows(principal: Principal, action: Action, driver_id: str) -> bool:
    """Return whether the caller may do this with that driver."""
    granted = reach(principal, action)
    return granted is Reach.ANY or (granted is Reach.OWN and principal.driver_id == driver_id)


def may_locate(principal: Principal, driver_id: str) -> bool:
    """Return whether the caller may see raw positions of that driver."""
    return allows(principal, Action.LOCATE, driver_id)


def acts_for_others(principal: Principal, action: Action) -> bool:
    """Return whether the caller does this as staff or integration, for whatever driver."""
    return reach(principal, action) is Reach.ANY


def resolve_driver(principal: Principal, action: Action, driver_id: str) -> str:
    """Return the driver that a path means to the caller, ``me`` resolved.

    Raises ``DriverNotFound`` for a driver that is none of the caller's business; it never tells whether the driver
    exists. Raises ``NotAllowed`` where the caller may know of the driver but may not do this.
    """
    wanted = principal.driver_id if driver_id == ME else driver_id
    if wanted is not None and allows(principal, action, wanted):
        return wanted
    raise NotAllowed if wanted is not None and _may_know(principal, wanted) else DriverNotFound


def _may_know(principal: Principal, driver_id: str) -> bool:
    return any(allows(principal, action, driver_id) for action in Action)


def visible_driver(principal: Principal, driver_id: str | None, action: Action = Action.READ) -> str | None:
    """Return the one driver that a list over drivers is to show the caller, None for all of them.

    Whoever may read any driver sees all or the one asked for; a driver sees itself. Raises ``DriverNotFound`` and
    ``NotAllowed``, see :func:`resolve_driver`.
    """
    if driver_id is None and reach(principal, action) is Reach.ANY:
        return None
    return resolve_driver(principal, action, driver_id or ME)


def require(principal: Principal, action: Action) -> Principal:
    """Return the caller. Raises ``NotAllowed`` unless it may do this with some driver; with which is checked later."""
    if reach(principal, action) is None:
        raise NotAllowed
    return principal


def require_person(principal: Principal) -> Principal:
    """Return the caller. Raises ``NotAllowed`` for an API key."""
    if principal.is_key:
        raise NotAllowed("An API key may not do this; sign in.")
    return principal


def as_sender(principal: Principal) -> DevicePrincipal:
    """Return a driver as a sender of its own telemetry. Raises ``NotAllowed`` for anybody else."""
    if principal.driver_id is None or not allows(principal, Action.SEND_TELEMETRY, principal.driver_id):
        raise NotAllowed("Telemetry is sent with a device key or the driver's own token.")
    return DevicePrincipal(device_id=None, driver_id=principal.driver_id, scopes=DRIVER_TOKEN_SCOPES)
