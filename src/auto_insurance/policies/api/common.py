"""What the routes of policies share: who is asking, and whose policy it is."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path

from auto_insurance.identity.deps import CurrentUser
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
    return Actor(str(principal.user_id), "staff" if principal.is_admin else "driver")


def own(policy: Policy, principal: Principal) -> Policy:
    """Return a policy that the caller may see and change: the driver its own, staff all.

    Raises ``PolicyNotFound`` for another's, as for one that is not there: nobody learns which ids exist.
    """
    if not principal.is_admin and policy.driver_id != principal.driver_id:
        raise PolicyNotFound
    return policy


async def accessible_policy(policy_id: PolicyId, caller: CurrentUser, uow: Tx, policies: Policies) -> Policy:
    """Return the path's policy if it is the caller's to see. Raises ``PolicyNotFound``."""
    return own(await policies.get(uow, policy_id), caller)


AccessiblePolicy = Annotated[Policy, Depends(accessible_policy)]
