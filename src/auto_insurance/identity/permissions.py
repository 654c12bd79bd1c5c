"""What staff may do beside the matters of one driver: which permission each role and scope brings. Pure, two tables."""

from __future__ import annotations

from enum import StrEnum

from auto_insurance.identity.errors import NotAllowed
from auto_insurance.identity.policy import roles_in_force
from auto_insurance.identity.schemas import ApiScope, Principal, Role


class Permission(StrEnum):
    """A kind of staff work. Each staff route names one."""

    VIEW_BOOK = "view_book"
    """Lists and sums over drivers and policies."""
    VIEW_LOCATIONS = "view_locations"
    """Positions of many drivers at once."""
    VIEW_MODELS = "view_models"
    VIEW_PLANS = "view_plans"
    VIEW_USERS = "view_users"
    VIEW_WEBHOOKS = "view_webhooks"
    VIEW_OPERATIONS = "view_operations"
    MANAGE_DRIVERS = "manage_drivers"
    MANAGE_DEVICES = "manage_devices"
    MANAGE_USERS = "manage_users"
    MANAGE_POLICIES = "manage_policies"
    MANAGE_CLAIMS = "manage_claims"
    MANAGE_MODELS = "manage_models"
    MANAGE_PLANS = "manage_plans"
    MANAGE_WEBHOOKS = "manage_webhooks"
    RESCORE = "rescore"
    """Compute scores anew."""
    REPRICE = "reprice"
    """Give a driver a new version of the premium."""
    DECIDE_DISPUTES = "decide_disputes"
    OPERATE = "operate"
    """Dead letters, partitions, consumers: what keeps the system going."""
    READ_AUDIT = "read_audit"
    ERASE = "erase"


VIEWS = frozenset(
    {
        Permission.VIEW_BOOK,
        Permission.VIEW_MODELS,
        Permission.VIEW_PLANS,
        Permission.VIEW_USERS,
        Permission.VIEW_WEBHOOKS,
        Permission.VIEW_OPERATIONS,
    }
)
"""Permissions that change nothing and show no place."""

GRANTS: dict[Role, frozenset[Permission]] = {
    Role.DRIVER: frozenset(),
    Role.AGENT: frozenset(
        {Permission.VIEW_BOOK, Permission.MANAGE_DRIVERS, Permission.MANAGE_DEVICES, Permission.MANAGE_POLICIES}
    ),
    Role.UNDERWRITER: frozenset(
        {
            Permission.VIEW_BOOK,
            Permission.VIEW_MODELS,
            Permission.VIEW_PLANS,
            Permission.MANAGE_POLICIES,
            Permission.RESCORE,
            Permission.REPRICE,
            Permission.DECIDE_DISPUTES,
        }
    ),
    Role.ACTUARY: frozenset(
        {
            Permission.VIEW_BOOK,
            Permission.VIEW_MODELS,
            Permission.VIEW_PLANS,
            Permission.MANAGE_MODELS,
            Permission.MANAGE_PLANS,
            Permission.RESCORE,
        }
    ),
    Role.AUDITOR: VIEWS | {Permission.VIEW_LOCATIONS, Permission.READ_AUDIT},
    Role.SERVICE: frozenset(
        {
            Permission.VIEW_BOOK,
            Permission.VIEW_WEBHOOKS,
            Permission.MANAGE_POLICIES,
            Permission.MANAGE_CLAIMS,
            Permission.MANAGE_WEBHOOKS,
        }
    ),
    Role.ADMIN: frozenset(Permission),
}
"""Nothing is granted that is not in here."""

SCOPES: dict[ApiScope, frozenset[Permission]] = {
    **dict.fromkeys(ApiScope, frozenset()),
    ApiScope.READ_DRIVERS: frozenset({Permission.VIEW_BOOK}),
    ApiScope.WRITE_POLICIES: frozenset({Permission.MANAGE_POLICIES}),
    ApiScope.WRITE_CLAIMS: frozenset({Permission.MANAGE_CLAIMS}),
    ApiScope.WRITE_WEBHOOKS: frozenset({Permission.VIEW_WEBHOOKS, Permission.MANAGE_WEBHOOKS}),
}
"""What a scope lets through of what the roles of the key's owner grant: both must agree."""


def granted(principal: Principal) -> frozenset[Permission]:
    """Return what the caller's roles bring together, for a key as far as its scopes let it through."""
    brought: frozenset[Permission] = frozenset().union(*(GRANTS[role] for role in roles_in_force(principal)))
    if principal.scopes is None:
        return brought
    through = (SCOPES[ApiScope(name)] for name in principal.scopes if name in SCOPES)
    return brought & frozenset().union(*through)


def require(principal: Principal, permission: Permission) -> Principal:
    """Return the caller. Raises ``NotAllowed`` unless one of its roles brings the permission."""
    if permission not in granted(principal):
        raise NotAllowed
    return principal
