from __future__ import annotations

import itertools
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.identity import policy
from auto_insurance.identity.errors import DriverNotFound, NotAllowed
from auto_insurance.identity.policy import Action, Reach
from auto_insurance.identity.schemas import Principal, Role


def person(*roles: str, driver_id: str | None = None) -> Principal:
    return Principal(user_id=uuid4(), username="somebody", roles=frozenset(roles), driver_id=driver_id)


ids = st.sampled_from(["DRV001", "DRV002", "me", None])


@given(st.frozensets(st.sampled_from([*Role, "unheard_of"])), ids, st.sampled_from(list(Action)), ids.filter(bool))
def test_nobody_reaches_further_than_the_table_says(
    roles: frozenset[str], own: str | None, action: Action, wanted: str
) -> None:
    caller = person(*roles, driver_id=own)
    widest = {policy.PERMISSIONS[Role(role)].get(action) for role in roles if role in set(Role)}
    target = own if wanted == "me" else wanted
    expected = target is not None and (Reach.ANY in widest or (Reach.OWN in widest and target == own))
    try:
        assert policy.resolve_driver(caller, action, wanted) == target
        assert expected
    except DriverNotFound:
        assert not expected


@pytest.mark.parametrize(("role", "action"), itertools.product(Role, Action))
def test_a_driver_without_a_driver_record_reaches_nobody(role: Role, action: Action) -> None:
    if role is Role.DRIVER:
        assert not policy.allows(person(role), action, "DRV001")


def test_only_admins_are_admins() -> None:
    assert policy.require_admin(person("admin")).is_admin
    for roles in (("driver",), (), ("Admin",)):
        with pytest.raises(NotAllowed):
            policy.require_admin(person(*roles, driver_id="DRV001"))


def test_a_driver_sends_for_itself_and_staff_for_nobody() -> None:
    sender = policy.as_sender(person("driver", driver_id="DRV001"))
    assert (sender.device_id, sender.driver_id, sender.scopes) == (None, "DRV001", frozenset({"ingest"}))
    for caller in (person("admin"), person("admin", driver_id="DRV001"), person("driver"), person(driver_id="DRV001")):
        with pytest.raises(NotAllowed):
            policy.as_sender(caller)


def test_lists_show_staff_all_and_a_driver_itself() -> None:
    assert policy.visible_driver(person("admin"), None) is None
    assert policy.visible_driver(person("admin"), "DRV002") == "DRV002"
    caller = person("driver", driver_id="DRV001")
    assert [policy.visible_driver(caller, wanted) for wanted in (None, "me", "DRV001")] == ["DRV001"] * 3
    for somebody, wanted in ((caller, "DRV002"), (person("driver"), None), (person(), None)):
        with pytest.raises(DriverNotFound):
            policy.visible_driver(somebody, wanted)
