"""Routes of rewards."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response, status

from auto_insurance.identity.deps import CurrentUser, driver_for
from auto_insurance.identity.policy import Action
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.idempotency import Once
from auto_insurance.infra.http.pagination import Page, PageParams
from auto_insurance.rewards.schemas import EntryOut, Goals, RedeemIn, RedemptionOut, RewardSummary, RulesOut, Tips
from auto_insurance.rewards.service import RewardService
from auto_insurance.rewards.views import rules_out

router = APIRouter(prefix="/rewards", tags=["rewards"])
Rewards = Annotated[RewardService, service(RewardService)]
Driver = Annotated[str, driver_for(Action.READ_REWARDS)]
ERRORS = problems(401, 403, 404, 422)


@router.get("/rules", responses=problems(401), summary="The rules of rewards")
async def get_rules(caller: CurrentUser, rewards: Rewards) -> RulesOut:
    """Return what earns points, and what points are worth."""
    return rules_out(rewards.rules)


@router.get("/{driver_id}/summary", responses=ERRORS, summary="A driver's rewards at a glance")
async def get_summary(driver_id: Driver, rewards: Rewards, uow: ReadTx) -> RewardSummary:
    """Return points, what they are worth, streaks, the next milestone and tips. `me` is the signed-in driver."""
    return await rewards.summary(uow, driver_id)


@router.get("/{driver_id}/milestones", responses=ERRORS, summary="A driver's milestones")
async def get_milestones(driver_id: Driver, rewards: Rewards, uow: ReadTx) -> Goals:
    """Return all milestones with the way to them."""
    return await rewards.milestones(uow, driver_id)


@router.get("/{driver_id}/achievements", responses=ERRORS, summary="A driver's achievements")
async def get_achievements(driver_id: Driver, rewards: Rewards, uow: ReadTx) -> Goals:
    """Return all achievements with the way to them."""
    return await rewards.achievements(uow, driver_id)


@router.get("/{driver_id}/tips", responses=ERRORS, summary="What a driver could change")
async def get_tips(driver_id: Driver, rewards: Rewards, uow: ReadTx) -> Tips:
    """Return tips from the driver's own driving, what brings most first."""
    return await rewards.tips(uow, driver_id)


@router.get("/{driver_id}/ledger", responses=ERRORS, summary="A driver's points, entry by entry")
async def get_ledger(driver_id: Driver, page: PageParams, rewards: Rewards, uow: ReadTx) -> Page[EntryOut]:
    """List what came and went, the newest first. Entries are never changed: corrections are entries of their own."""
    found, total = await rewards.ledger(uow, driver_id, limit=page.limit, offset=page.offset)
    return Page[EntryOut].of([EntryOut.model_validate(entry) for entry in found], total, page)


@router.post(
    "/{driver_id}/redeem",
    status_code=status.HTTP_201_CREATED,
    response_model=RedemptionOut,
    responses=problems(401, 403, 404, 409, 422),
    summary="Turn points into a premium credit",
)
async def redeem(
    driver_id: Annotated[str, driver_for(Action.REDEEM_REWARDS)],
    body: RedeemIn,
    caller: CurrentUser,
    rewards: Rewards,
    once: Once,
    uow: Tx,
) -> Response:
    """Redeem points as a credit on the driver's policy in force."""

    async def work() -> RedemptionOut:
        return await rewards.redeem(uow, driver_id, body.points, caller.user_id)

    return await once.run(caller.user_id, work, status=status.HTTP_201_CREATED)
