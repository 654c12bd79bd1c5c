"""Which role brings which permission."""

from __future__ import annotations

import pytest

from auto_insurance.identity.errors import NotAllowed
from auto_insurance.identity.permissions import GRANTS, Permission, granted, require
from auto_insurance.identity.schemas import Principal, Role
from auto_insurance.kernel import ids


def somebody(*roles: str) -> Principal:
    return Principal(user_id=ids.new_uuid(), username="somebody", roles=frozenset(roles), driver_id=None)


def test_every_role_is_in_the_table() -> None:
    assert set(GRANTS) == set(Role)


@pytest.mark.parametrize("permission", Permission)
def test_an_administrator_may_all_and_a_driver_nothing(permission: Permission) -> None:
    assert require(somebody(Role.ADMIN), permission).roles == {Role.ADMIN}
    for roles in ((), (Role.DRIVER,), ("unknown",)):
        with pytest.raises(NotAllowed):
            require(somebody(*roles), permission)
    assert granted(somebody(Role.ADMIN, Role.DRIVER)) == frozenset(Permission)
