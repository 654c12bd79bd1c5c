"""Writes versions of premiums: rated, numbered without a gap, announced."""

from __future__ import annotations

from datetime import date

import msgspec

from auto_insurance.contracts import topics
from auto_insurance.contracts.pricing import PREMIUM_CHARGED, PREMIUM_INDICATED, PremiumCalculated
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.kernel.events import new_event
from auto_insurance.pricing import repository
from auto_insurance.pricing.facts import RiskChanges
from auto_insurance.pricing.plan import RatingPlan
from auto_insurance.pricing.rating import RatingInputs, rate
from auto_insurance.pricing.schemas import Premium, PremiumKind, PremiumStatus
from auto_insurance.pricing.service_rater import Basis

_STATUS = {PremiumKind.INDICATED: PremiumStatus.INDICATED, PremiumKind.CHARGED: PremiumStatus.ACTIVE}
_EVENT = {PremiumKind.INDICATED: PREMIUM_INDICATED, PremiumKind.CHARGED: PREMIUM_CHARGED}


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A premium that is to be rated and stored."""

    driver_id: str
    kind: PremiumKind
    effective_date: date
    inputs: RatingInputs
    basis: Basis
    reason: str
    policy_id: str | None = None
    segment: int | None = None
    corrects: int | None = None
    changes: RiskChanges | None = None


async def store(uow: UnitOfWork, plan: RatingPlan, new: Version) -> Premium:
    """Rate and add a version; the caller holds :func:`repository.lock_driver`."""
    rating, basis = rate(plan, new.inputs), new.basis
    driving = basis.driving
    premium = Premium(
        premium_id=ids.new_uuid(),
        driver_id=new.driver_id,
        version=await repository.next_version(uow, new.driver_id),
        kind=new.kind.value,
        status=_STATUS[new.kind].value,
        effective_date=new.effective_date,
        annual_premium=rating.annual_premium,
        monthly_premium=rating.monthly_premium,
        currency=rating.currency,
        plan_version=rating.plan_version,
        model_version=basis.model_version,
        score_id=basis.score_id,
        worksheet=rating.worksheet,
        inputs=new.inputs,
        reason=new.reason,
        created_at=clock.now(),
        policy_id=new.policy_id,
        segment=new.segment,
        corrects=new.corrects,
        changes=new.changes,
        driving=driving,
        driving_from=None if driving is None else driving.window_from,
        driving_to=None if driving is None else driving.window_to,
    )
    await repository.add_premium(uow, premium)
    event = new_event(announcement(premium), type=_EVENT[new.kind], version=1, key=new.driver_id)
    uow.publish(topics.PREMIUMS, event)
    return premium


def announcement(premium: Premium) -> PremiumCalculated:
    """Return what is told of a version."""
    return PremiumCalculated(
        premium_id=premium.premium_id,
        driver_id=premium.driver_id,
        version=premium.version,
        kind=premium.kind,
        annual_premium=str(premium.annual_premium),
        monthly_premium=str(premium.monthly_premium),
        plan_version=premium.plan_version,
        score_id=premium.score_id,
        calculated_at=premium.created_at,
        reason=premium.reason,
        effective_date=premium.effective_date,
        policy_id=premium.policy_id,
        segment=premium.segment,
        corrects=premium.corrects,
    )
