from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.identity import policy
from auto_insurance.identity.errors import DriverNotFound, NotAllowed
from auto_insurance.identity.policy import PERMISSIONS, SCOPES, Action, Reach
from auto_insurance.identity.schemas import ApiScope, Principal, Role

STAFF = (Role.AGENT, Role.UNDERWRITER, Role.ACTUARY, Role.AUDITOR, Role.ADMIN)


def person(*roles: str, driver_id: str | None = None) -> Principal:
    return Principal(user_id=uuid4(), username="somebody", roles=frozenset(roles), driver_id=driver_id)


def key(*scopes: str, roles: tuple[str, ...] = (Role.SERVICE,), driver_id: str | None = None) -> Principal:
    """Return an API key of an account with those roles."""
    return Principal(
        user_id=uuid4(),
        username="integration",
        roles=frozenset(roles),
        driver_id=driver_id,
        key_id=uuid4(),
        scopes=frozenset(scopes),
    )


ids = st.sampled_from(["DRV001", "DRV002", "me", None])
role_sets = st.frozensets(st.sampled_from([*Role, "unheard_of"]))
scope_sets = st.none() | st.frozensets(st.sampled_from([*ApiScope, "unheard:of"]))


@given(role_sets, scope_sets, ids, st.sampled_from(list(Action)), ids.filter(bool))
def test_nobody_reaches_further_than_the_tables_say(
    roles: frozenset[str], scopes: frozenset[str] | None, own: str | None, action: Action, wanted: str
) -> None:
    caller = Principal(user_id=uuid4(), username="somebody", roles=roles, driver_id=own, scopes=scopes)
    counted = {Role(role) for role in roles if role in set(Role)} - ({Role.SERVICE} if scopes is None else set())
    widest = {PERMISSIONS[role].get(action) for role in counted}
    through = scopes is None or any(action in SCOPES[ApiScope(name)] for name in scopes if name in set(ApiScope))
    target = own if wanted == "me" else wanted
    expected = through and target is not None
    expected = expected and (Reach.ANY in widest or (Reach.OWN in widest and target == own))
    try:
        assert policy.resolve_driver(caller, action, wanted) == target
        assert expected
    except DriverNotFound:
        assert not expected
        assert target is None or not any(policy.allows(caller, other, target) for other in Action)
    except NotAllowed:
        assert not expected
        assert target is not None
        assert any(policy.allows(caller, other, target) for other in Action)


@given(role_sets, st.frozensets(st.sampled_from(list(ApiScope))), st.sampled_from(list(Action)))
def test_a_key_never_does_what_its_owner_may_not(
    roles: frozenset[str], scopes: frozenset[ApiScope], action: Action
) -> None:
    roles -= {Role.SERVICE}
    of_key = policy.allows(key(*scopes, roles=tuple(roles), driver_id="DRV001"), action, "DRV001")
    assert not of_key or policy.allows(person(*roles, driver_id="DRV001"), action, "DRV001")


def test_the_tables_are_whole() -> None:
    assert set(PERMISSIONS) == set(Role)
    assert set(SCOPES) == set(ApiScope)
    assert set(PERMISSIONS[Role.DRIVER].values()) == {Reach.OWN}
    assert all(set(PERMISSIONS[role].values()) == {Reach.ANY} for role in STAFF)


@pytest.mark.parametrize("action", Action)
def test_a_driver_without_a_driver_record_reaches_nobody(action: Action) -> None:
    assert not policy.allows(person(Role.DRIVER), action, "DRV001")


def test_who_sees_where_somebody_was() -> None:
    """A place is nobody's business for a price."""
    assert {role for role in STAFF if policy.may_locate(person(role), "DRV001")} == {Role.AUDITOR, Role.ADMIN}
    driver = person(Role.DRIVER, driver_id="DRV001")
    assert policy.may_locate(driver, "DRV001")
    assert not policy.may_locate(driver, "DRV002")
    assert not policy.may_locate(key(ApiScope.READ_TRIPS), "DRV001")
    assert policy.may_locate(key(ApiScope.READ_TRIPS, ApiScope.READ_LOCATIONS), "DRV001")
    assert not policy.may_locate(key(ApiScope.READ_LOCATIONS, roles=(Role.UNDERWRITER,)), "DRV001")


def test_an_auditor_and_an_actuary_change_nothing_of_a_driver() -> None:
    unchanging = policy.READS | {Action.LOCATE}
    assert set(PERMISSIONS[Role.AUDITOR]) == unchanging
    assert set(PERMISSIONS[Role.ACTUARY]) <= unchanging


def test_an_integration_does_nothing_without_a_key() -> None:
    assert not any(policy.reach(person(Role.SERVICE), action) for action in Action)
    assert not any(policy.reach(key(), action) for action in Action)
    assert policy.reach(key(ApiScope.READ_RISK), Action.READ_RISK) is Reach.ANY
    assert policy.reach(key(ApiScope.READ_RISK), Action.READ) is None
    with pytest.raises(NotAllowed, match="API key"):
        policy.require_person(key(ApiScope.READ_RISK))


def test_what_staff_may_not_do_is_forbidden_and_a_stranger_hears_nothing() -> None:
    with pytest.raises(NotAllowed):
        policy.resolve_driver(person(Role.UNDERWRITER), Action.EDIT_CONTACT, "DRV001")
    with pytest.raises(DriverNotFound):
        policy.resolve_driver(person(Role.DRIVER, driver_id="DRV001"), Action.READ, "DRV002")
    with pytest.raises(NotAllowed):
        policy.require(person(), Action.READ_CLAIMS)


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
