"""Makes a stored price again from what is stored below it: events, model, plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from auto_insurance.drivers.schemas import DeviceHistory
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.clock import from_us, to_us
from auto_insurance.pricing import repository
from auto_insurance.pricing.corrections import Judge, with_driving
from auto_insurance.pricing.errors import PremiumNotFound
from auto_insurance.pricing.rating import Telematics, rate
from auto_insurance.pricing.replay import (
    Difference,
    Replayed,
    Source,
    driving_differences,
    rating_differences,
    telematics_differences,
)
from auto_insurance.pricing.schemas import Driving, Premium, PremiumKind
from auto_insurance.pricing.service_rater import (
    HELD,
    SAME_TERM,
    Plans,
    ScoreReader,
    charged_relativity,
    driving_of,
)
from auto_insurance.telematics.service import KnownEvents
from auto_insurance.trips.schemas import TripTotals
from auto_insurance.trips.service import TripService, totals_of

LEAD = timedelta(days=2)
"""How long before the window events are folded, so that its first trip is cut as it was."""
AHEAD = timedelta(minutes=10)
"""Devices' clocks may run ahead of ours by some minutes."""
PAGE = timedelta(days=7)
_STEP = timedelta(microseconds=1)


class Events(Protocol):
    """What a replay needs of the telematics service."""

    async def known_and_archived(
        self, uow: UnitOfWork, device_id: str, drivers: Collection[str], start: datetime, end: datetime, known: datetime
    ) -> KnownEvents: ...


class Devices(Protocol):
    """What a replay needs of the drivers service."""

    async def histories_of(self, uow: UnitOfWork, driver_id: str) -> dict[str, DeviceHistory]: ...


class Scores(Judge, ScoreReader, Protocol):
    """What a replay needs of the risk service."""


class Found(NamedTuple):
    """The driving behind a price as it was made again."""

    source: Source
    driving: Driving | None
    events: int = 0
    archived: int = 0


class Replays:
    """Replays stored premiums. Writes nothing."""

    def __init__(self, plans: Plans, scores: Scores, trips: TripService, events: Events, devices: Devices) -> None:
        self._plans = plans
        self._scores = scores
        self._trips = trips
        self._events = events
        self._devices = devices

    async def replay(self, uow: UnitOfWork, premium_id: UUID, *, from_events: bool = True) -> Replayed:
        """Make a premium again and compare it, line by line.

        The driving comes from the stored events, archived months included; without any, or without ``from_events``,
        from the stored feature vector. The facts are those stored with the premium. Raises ``PremiumNotFound``,
        ``PlanNotFound`` and ``InvalidArtefact`` for a plan or model that is gone, ``ArchiveDamaged``.
        """
        premium = await repository.get_premium(uow, premium_id)
        if premium is None:
            raise PremiumNotFound
        stored = await self._driving(uow, premium)
        found = await self._again(uow, premium, stored, from_events=from_events)
        differences: list[Difference] = []
        inputs = premium.inputs
        if stored is not None and found.driving is not None:
            differences += driving_differences(stored, found.driving)
            inputs = with_driving(inputs, premium, found.driving)
        running = await self._running(uow, premium)
        if running is not None:
            telematics = msgspec.structs.replace(inputs.telematics, running_relativity=running.running_relativity)
            inputs = msgspec.structs.replace(inputs, telematics=telematics)
        differences += telematics_differences(premium.inputs.telematics, inputs.telematics)
        rating = rate(await self._plans.get(uow, premium.plan_version), inputs)
        differences += rating_differences(premium, rating)
        return Replayed(
            premium_id=premium.premium_id,
            driver_id=premium.driver_id,
            version=premium.version,
            kind=premium.kind,
            reason=premium.reason,
            source=found.source,
            events=found.events,
            archived_events=found.archived,
            trips=0 if found.driving is None else found.driving.trip_count,
            plan_version=premium.plan_version,
            model_version=premium.model_version,
            annual_premium=str(premium.annual_premium),
            annual_premium_again=str(rating.annual_premium),
            monthly_premium=str(premium.monthly_premium),
            monthly_premium_again=str(rating.monthly_premium),
            differences=tuple(differences),
        )

    async def _driving(self, uow: UnitOfWork, premium: Premium) -> Driving | None:
        """Return what is stored of the driving: with the premium, or with the score that it came from."""
        if premium.driving is not None or premium.score_id is None:
            return premium.driving
        score = await self._scores.get(uow, premium.score_id)
        return None if score is None else driving_of(score)

    async def _again(self, uow: UnitOfWork, premium: Premium, stored: Driving | None, *, from_events: bool) -> Found:
        if stored is None:
            return Found(Source.NONE if premium.model_version is None else Source.INPUTS, None)
        found = await self._cut(uow, premium.driver_id, stored) if from_events else None
        if found is None:
            judged = await self._scores.judge(uow, stored.model_version, stored.features, stored.miles)
            again = msgspec.structs.replace(stored, relativity=judged.relativity, confidence=judged.confidence)
            return Found(Source.FEATURES, again)
        totals, events, archived = found
        features = {**stored.features, **self._scores.features_of(totals)}
        judged = await self._scores.judge(uow, stored.model_version, features, totals.distance_miles)
        again = msgspec.structs.replace(
            stored,
            features=features,
            miles=totals.distance_miles,
            trip_count=totals.trip_count,
            trips_until=totals.last_end,
            relativity=judged.relativity,
            confidence=judged.confidence,
        )
        return Found(Source.EVENTS, again, events, archived)

    async def _cut(self, uow: UnitOfWork, driver_id: str, stored: Driving) -> tuple[TripTotals, int, int] | None:
        """Cut the events that were known then into trips; None if none of the driver's are kept.

        Events up to the instant of the score are folded, since what followed a trip decides where it ended. Those that
        count were over by the end of the last one that the score saw.
        """
        histories = await self._devices.histories_of(uow, driver_id)
        start, end = stored.window_from - LEAD, max(stored.known_at, stored.window_to) + AHEAD
        refolder = self._trips.refolder(_zones(histories))
        events = archived = own = 0
        for device_id, history in histories.items():
            at = start
            while at < end:
                until = min(at + PAGE, end)
                drivers = _drivers(history, at, until)
                page = await self._events.known_and_archived(uow, device_id, drivers, at, until, stored.known_at)
                refolder.add(page.events)
                events, archived, at = events + len(page.events), archived + page.archived, until
                own += sum(name == driver_id for name in page.events.drivers)
        if not own:
            return None
        ended_by = stored.trips_until or stored.window_from
        totals = totals_of(driver_id, refolder.trips(), stored.window_from, ended_by + _STEP, ended_by)
        return totals, events, archived

    async def _running(self, uow: UnitOfWork, premium: Premium) -> Telematics | None:
        """Return what the term before was charged with, where the versions tell: the limit of change counts from it.

        A bind may be of a quote, whose limit counted from the day of the quote.
        """
        if premium.corrects is not None:
            before = await repository.get_version(uow, premium.driver_id, premium.corrects)
            return None if before is None else before.inputs.telematics
        reason = premium.reason.split(":", 1)[0]
        if reason in {"bind", "enrolment"}:
            return None
        before = await repository.charged_before(uow, premium.driver_id, premium.effective_date, premium.version)
        if before is None:
            return None
        if premium.kind == PremiumKind.CHARGED and reason in HELD | SAME_TERM:
            return before.inputs.telematics
        return Telematics(running_relativity=charged_relativity(before))


def _zones(histories: Mapping[str, DeviceHistory]) -> dict[str, str]:
    spans = (span for history in histories.values() for span in history.spans)
    return {span.assignment.driver_id: span.assignment.time_zone for span in spans}


def _drivers(history: DeviceHistory, start: datetime, end: datetime) -> set[str]:
    """Return who had a device in [start, end)."""
    return {
        span.assignment.driver_id
        for span in history.spans
        if from_us(span.from_us) < end and (span.to_us is None or span.to_us > to_us(start))
    }
