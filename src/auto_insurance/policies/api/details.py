"""What a driver's page about the price needs of the policy."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from auto_insurance.identity.deps import driver_for
from auto_insurance.identity.policy import Action
from auto_insurance.infra.http.deps import ReadTx
from auto_insurance.infra.http.errors import problems
from auto_insurance.policies.api.common import Policies
from auto_insurance.policies.errors import PolicyNotFound
from auto_insurance.policies.schemas import PolicyDetails

router = APIRouter(prefix="/pricing", tags=["pricing"])


@router.get("/{driver_id}/policy-details", summary="A driver's policy", responses=problems(401, 403, 404, 422, 503))
async def policy_details(
    driver_id: Annotated[str, driver_for(Action.READ_POLICIES)], uow: ReadTx, policies: Policies
) -> PolicyDetails:
    """Return the driver's newest policy that runs, else the newest: number, dates, status, cover, price."""
    found, _ = await policies.list(uow, driver_id=driver_id, limit=20)
    if not found:
        raise PolicyNotFound
    chosen = next((one for one in found if one.policy.status in {"active", "bound"}), found[0])
    return PolicyDetails.of(await policies.snapshot(uow, chosen.policy))
