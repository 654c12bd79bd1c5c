"""Drivers who wait for a score: several trips of a driver in a moment lead to one score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from auto_insurance.contracts.trips import TRIP_AMENDED, TRIP_COMPLETED, TRIP_WITHDRAWN
from auto_insurance.infra import tracing
from auto_insurance.infra.db.faults import is_transient
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import AppError
from auto_insurance.risk import repository_due
from auto_insurance.risk.repository_due import DueScore
from auto_insurance.risk.service import RiskService

log = structlog.get_logger(__name__)

WEIGHTS = {TRIP_COMPLETED: 0, TRIP_AMENDED: 1, TRIP_WITHDRAWN: 2}
"""Of several reasons for a score the weightiest is given: what corrects the past must not hide behind a new trip."""


@dataclass(frozen=True, slots=True)
class DueOptions:
    """``moment``: how long a driver's first change waits for more of them; zero scores at the end of each batch.

    ``together``: drivers scored in one transaction at most. Who can't be scored is tried again after ``retry_first``,
    then twice as long, up to ``retry_most``.
    """

    moment: timedelta = timedelta(0)
    together: int = 1_000
    retry_first: timedelta = timedelta(seconds=10)
    retry_most: timedelta = timedelta(hours=1)


class DueScores:
    """Notes who needs a score, and scores them."""

    def __init__(self, risk: RiskService, options: DueOptions | None = None) -> None:
        self._risk = risk
        self._options = options or DueOptions()

    async def changed(
        self, uow: UnitOfWork, reasons: Mapping[str, str], traces: Mapping[str, str] | None = None
    ) -> None:
        """Take note that trips of these drivers changed, with the reasons and the traces of those that are traced."""
        if self._options.moment > timedelta(0):
            await repository_due.note(uow, reasons, clock.now() + self._options.moment, traces or {})
            return
        # Who waits already, because a moment was set before, is scored now and waits no longer.
        waiting = await repository_due.take(uow, list(reasons))
        known = {one.driver_id: one.reason for one in waiting}
        due = {driver: heavier(known.get(driver), reason) for driver, reason in reasons.items()}
        await self._score(uow, due, {**_traces(waiting), **(traces or {})})

    async def score_due(self, uow: UnitOfWork) -> None:
        """Score those whose moment is over. Who is locked by another consumer is left to it."""
        due = await repository_due.take_due(uow, clock.now(), self._options.together)
        if not due:
            return
        try:
            await self._score(uow, {one.driver_id: one.reason for one in due}, _traces(due))
        except Exception as error:
            if is_transient(error):
                raise
            await self._one_by_one(uow, due)

    async def _score(self, uow: UnitOfWork, reasons: Mapping[str, str], traces: Mapping[str, str]) -> None:
        """Score drivers with one call of the model for each reason; all of it or nothing."""
        with tracing.spans("score driver", traces):
            await self._score_all(uow, reasons)

    async def _score_all(self, uow: UnitOfWork, reasons: Mapping[str, str]) -> None:
        async with uow.conn.begin_nested():
            for reason in sorted(set(reasons.values())):
                await self._risk.score_drivers(uow, [d for d, why in reasons.items() if why == reason], reason)

    async def _one_by_one(self, uow: UnitOfWork, due: Sequence[DueScore]) -> None:
        """Score each by itself: one who can't be scored keeps nobody else waiting, and is tried again later."""
        for one in due:
            try:
                await self._score(uow, {one.driver_id: one.reason}, _traces([one]))
            except Exception as error:
                if is_transient(error):
                    raise
                pause = min(self._options.retry_first * 2 ** min(one.attempts, 16), self._options.retry_most)
                cause = error.code if isinstance(error, AppError) else type(error).__name__
                log.error("driver_not_scored", cause=cause, attempts=one.attempts + 1, pause_s=pause.total_seconds())
                await repository_due.put_back(uow, one, clock.now() + pause)


def _traces(due: Iterable[DueScore]) -> dict[str, str]:
    return {one.driver_id: one.traceparent for one in due if one.traceparent}


def weightiest(events: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return each driver with the weightiest of the reasons; ``events`` are drivers and reasons, in order."""
    reasons: dict[str, str] = {}
    for driver_id, reason in events:
        reasons[driver_id] = heavier(reasons.get(driver_id), reason)
    return reasons


def heavier(before: str | None, now: str) -> str:
    """Return the weightier of two reasons, the later one of two alike."""
    return now if before is None or WEIGHTS.get(now, -1) >= WEIGHTS.get(before, -1) else before
