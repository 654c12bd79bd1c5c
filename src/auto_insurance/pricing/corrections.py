"""What a charged premium rested on turns out otherwise: a late trip, a changed one, one that was disputed.

The driving behind the charge is summed again over the same window, judged by the same model and rated with the same
plan. If that is other money, a version of its own takes the place of the old one from its first day on. Newer driving
never gets in: a score alone moves no charged premium.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog

from auto_insurance.contracts import topics
from auto_insurance.contracts.pricing import PREMIUM_CORRECTED
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.events import new_event
from auto_insurance.pricing import repository, service_store
from auto_insurance.pricing.rating import RatingInputs, rate
from auto_insurance.pricing.schemas import Driving, Premium, PremiumKind
from auto_insurance.pricing.service_rater import Plans, of_driving, yearly_miles
from auto_insurance.pricing.service_store import Version, announcement
from auto_insurance.risk.schemas import Judgement
from auto_insurance.trips.schemas import TripTotals

log = structlog.get_logger(__name__)
AT_MOST = 200
"""Charged versions looked at for one trip: more than a driver has in the years that a window spans."""
_STEP = timedelta(microseconds=1)


class TripReader(Protocol):
    """What corrections need of the trips service."""

    async def totals_ended_by(
        self, uow: UnitOfWork, driver_id: str, since: datetime, until: datetime, ended_by: datetime
    ) -> TripTotals: ...


class Judge(Protocol):
    """What corrections need of the risk service."""

    async def judge(
        self, uow: UnitOfWork, model_version: str, features: Mapping[str, float | None], miles: float
    ) -> Judgement: ...

    def features_of(self, totals: TripTotals) -> dict[str, float | None]: ...


class Corrections:
    """Corrects charged premiums when trips of their time come to light."""

    def __init__(self, plans: Plans, trips: TripReader, judge: Judge) -> None:
        self._plans = plans
        self._trips = trips
        self._judge = judge

    async def trip_changed(self, uow: UnitOfWork, driver_id: str, started: datetime, cause: str) -> list[Premium]:
        """Correct what was charged for driving of that time; returns the new versions, the earliest first.

        Nothing is written where the money stays the same.
        """
        if not await repository.charged_over(uow, driver_id, started, AT_MOST):
            return []
        await repository.lock_driver(uow, driver_id)
        standing = _standing(await repository.charged_over(uow, driver_id, started, AT_MOST))
        made = [await self._correct(uow, premium, cause) for premium in standing]
        return [premium for premium in made if premium is not None]

    async def _correct(self, uow: UnitOfWork, standing: Premium, cause: str) -> Premium | None:
        plan = await self._plans.get(uow, standing.plan_version)
        if standing.driving is None or not plan.rules(standing.inputs.state).mid_term_change:
            return None
        driving = await self._again(uow, standing.driver_id, standing.driving)
        inputs = with_driving(standing.inputs, standing, driving)
        before, after = rate(plan, standing.inputs), rate(plan, inputs)
        if (before.annual_premium, before.per_mile) == (after.annual_premium, after.per_mile):
            return None
        version = Version(
            driver_id=standing.driver_id,
            kind=PremiumKind.CHARGED,
            effective_date=standing.effective_date,
            inputs=inputs,
            basis=of_driving(driving, inputs.telematics.running_relativity),
            reason=f"correction of version {standing.version}: {cause}",
            policy_id=standing.policy_id,
            segment=standing.segment,
            corrects=standing.version,
            changes=standing.changes,
        )
        made = await service_store.store(uow, plan, version)
        self._tell(uow, standing, made, cause)
        return made

    async def _again(self, uow: UnitOfWork, driver_id: str, before: Driving) -> Driving:
        """Return the driving of the same window as it is known now; trips that ended after the window stay out."""
        ended_by = ended(before)
        totals = await self._trips.totals_ended_by(uow, driver_id, before.window_from, ended_by + _STEP, ended_by)
        # What is known of the driver beside the trips stays as it was.
        features = {**before.features, **self._judge.features_of(totals)}
        judged = await self._judge.judge(uow, before.model_version, features, totals.distance_miles)
        return msgspec.structs.replace(
            before,
            features=features,
            miles=totals.distance_miles,
            trip_count=totals.trip_count,
            trips_until=totals.last_end,
            known_at=clock.now(),
            relativity=judged.relativity,
            confidence=judged.confidence,
        )

    def _tell(self, uow: UnitOfWork, before: Premium, made: Premium, cause: str) -> None:
        told = msgspec.structs.replace(
            announcement(made),
            corrected_premium_id=before.premium_id,
            annual_premium_before=str(before.annual_premium),
            cause=cause,
        )
        uow.publish(topics.PREMIUMS, new_event(told, type=PREMIUM_CORRECTED, version=1, key=made.driver_id))
        log.info("premium_corrected", version=made.version, corrects=before.version, cause=cause)


def ended(driving: Driving) -> datetime:
    """Return the instant by which a trip must have been over to count."""
    return driving.window_to if driving.trips_until is None else max(driving.window_to, driving.trips_until)


def with_driving(inputs: RatingInputs, premium: Premium, driving: Driving) -> RatingInputs:
    """Return what was rated with other driving; the limit of change counts from where it did."""
    telematics = of_driving(driving, inputs.telematics.running_relativity).telematics
    telematics = msgspec.structs.replace(telematics, uses_location=inputs.telematics.uses_location)
    told = None if premium.changes is None else premium.changes.driven_miles
    counted = inputs.driven_miles is not None and told is None
    return msgspec.structs.replace(
        inputs, telematics=telematics, driven_miles=yearly_miles(driving) if counted else inputs.driven_miles
    )


def _standing(found: Iterable[Premium]) -> list[Premium]:
    """Return the versions in force on their first day, the earliest first; of several of a day the newest counts."""
    newest: dict[object, Premium] = {}
    for premium in sorted(found, key=lambda one: one.version):
        newest[premium.policy_id, premium.effective_date] = premium
    return sorted(newest.values(), key=lambda one: (one.effective_date, one.version))
