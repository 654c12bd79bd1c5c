"""Which role brings which permission."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.identity.errors import NotAllowed
from auto_insurance.identity.permissions import GRANTS, SCOPES, VIEWS, Permission, granted, require
from auto_insurance.identity.schemas import ApiScope, Principal, Role
from auto_insurance.kernel import ids


def somebody(*roles: str, scopes: frozenset[str] | None = None) -> Principal:
    return Principal(user_id=ids.new_uuid(), username="somebody", roles=frozenset(roles), scopes=scopes)


def test_every_role_and_scope_is_in_the_tables() -> None:
    assert set(GRANTS) == set(Role)
    assert set(SCOPES) == set(ApiScope)


@pytest.mark.parametrize("permission", Permission)
def test_an_administrator_may_all_and_a_driver_nothing(permission: Permission) -> None:
    assert require(somebody(Role.ADMIN), permission).roles == {Role.ADMIN}
    for roles in ((), (Role.DRIVER,), ("unknown",), (Role.SERVICE,)):
        with pytest.raises(NotAllowed):
            require(somebody(*roles), permission)
    assert granted(somebody(Role.ADMIN, Role.DRIVER)) == frozenset(Permission)


@given(st.frozensets(st.sampled_from(list(Role))), st.frozensets(st.sampled_from([*ApiScope, "unheard:of"])))
def test_a_key_brings_what_its_owner_and_its_scopes_agree_on(roles: frozenset[Role], scopes: frozenset[str]) -> None:
    of_roles = frozenset().union(*(GRANTS[role] for role in roles))
    of_scopes = frozenset().union(*(SCOPES[ApiScope(name)] for name in scopes if name in set(ApiScope)))
    assert granted(somebody(*roles, scopes=scopes)) == of_roles & of_scopes


def test_the_lines_between_the_desks() -> None:
    """Who prices does not see places, who sells touches no model, who audits changes nothing."""
    assert GRANTS[Role.AUDITOR] == VIEWS | {Permission.VIEW_LOCATIONS, Permission.READ_AUDIT}
    assert not GRANTS[Role.AGENT] & {
        Permission.VIEW_MODELS,
        Permission.VIEW_PLANS,
        Permission.MANAGE_MODELS,
        Permission.MANAGE_PLANS,
    }
    for role in set(Role) - {Role.ADMIN, Role.AUDITOR}:
        assert not GRANTS[role] & {Permission.VIEW_LOCATIONS, Permission.READ_AUDIT, Permission.ERASE}
    for role in set(Role) - {Role.ADMIN}:
        assert not GRANTS[role] & {Permission.MANAGE_USERS, Permission.OPERATE}
