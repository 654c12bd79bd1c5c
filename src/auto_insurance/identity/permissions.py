"""What staff may do beside the matters of one driver: which permission each role brings. Pure, one table."""

from __future__ import annotations

from enum import StrEnum

from auto_insurance.identity.errors import NotAllowed
from auto_insurance.identity.schemas import Principal, Role


class Permission(StrEnum):
    """A kind of staff work. Each staff route names one."""

    VIEW_BOOK = "view_book"
    VIEW_LOCATIONS = "view_locations"
    MANAGE_DRIVERS = "manage_drivers"
    MANAGE_DEVICES = "manage_devices"
    MANAGE_USERS = "manage_users"
    MANAGE_POLICIES = "manage_policies"
    MANAGE_CLAIMS = "manage_claims"
    MANAGE_MODELS = "manage_models"
    MANAGE_PLANS = "manage_plans"
    MANAGE_WEBHOOKS = "manage_webhooks"
    OPERATE = "operate"
    """Dead letters, partitions, consumers: what keeps the system going."""
    READ_AUDIT = "read_audit"
    ERASE = "erase"


GRANTS: dict[Role, frozenset[Permission]] = {Role.DRIVER: frozenset(), Role.ADMIN: frozenset(Permission)}
"""Nothing is granted that is not in here."""


def granted(principal: Principal) -> frozenset[Permission]:
    """Return what the caller's roles bring together."""
    return frozenset().union(*(GRANTS[Role(name)] for name in principal.roles if name in GRANTS))


def require(principal: Principal, permission: Permission) -> Principal:
    """Return the caller. Raises ``NotAllowed`` unless one of its roles brings the permission."""
    if permission not in granted(principal):
        raise NotAllowed
    return principal
