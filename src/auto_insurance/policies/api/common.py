"""What the routes of policies share: who is asking, and whose policy it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path

from auto_insurance.identity import policy as rights
from auto_insurance.identity.deps import may
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.http.deps import Tx, service
from auto_insurance.policies.errors import PolicyNotFound
from auto_insurance.policies.records import Actor, Policy
from auto_insurance.policies.schemas_orders import POLICY_ID_PATTERN
from auto_insurance.policies.service import PolicyService

Policies = Annotated[PolicyService, service(PolicyService)]
PolicyId = Annotated[str, Path(pattern=POLICY_ID_PATTERN, description="A policy's id.", examples=["POL-000001"])]


def actor_of(principal: Principal) -> Actor:
    """Return the caller as policies note who did something."""
    return Actor(
        str(principal.user_id), "staff" if rights.acts_for_others(principal, Action.EDIT_POLICIES) else "driver"
    )


def own(policy: Policy, principal: Principal, action: Action) -> Policy:
    """Return a policy that the caller may do this with: the driver its own, staff all.

    Raises ``PolicyNotFound`` for another's, as for one that is not there: nobody learns which ids exist.
    """
    if not rights.allows(principal, action, policy.driver_id):
        raise PolicyNotFound
    return policy


Reader = Annotated[Principal, may(Action.READ_POLICIES)]
Editor = Annotated[Principal, may(Action.EDIT_POLICIES)]


async def readable_policy(policy_id: PolicyId, caller: Reader, uow: Tx, policies: Policies) -> Policy:
    """Return the path's policy if it is the caller's to see. Raises ``PolicyNotFound``."""
    return own(await policies.get(uow, policy_id), caller, Action.READ_POLICIES)


async def editable_policy(policy_id: PolicyId, caller: Editor, uow: Tx, policies: Policies) -> Policy:
    """Return the path's policy if it is the caller's to change. Raises ``PolicyNotFound``."""
    return own(await policies.get(uow, policy_id), caller, Action.EDIT_POLICIES)


AccessiblePolicy = Annotated[Policy, Depends(readable_policy)]
EditablePolicy = Annotated[Policy, Depends(editable_policy)]
