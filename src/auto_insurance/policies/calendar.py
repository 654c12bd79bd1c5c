"""What time does to policies: terms begin, end, are offered and renewed. Bounded per run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from auto_insurance.infra.db.locks import leading
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import AppError
from auto_insurance.policies import repository_lists

log = structlog.get_logger(__name__)
MOST = 500
"""Policies of each kind in one run; the next run takes the rest."""
Step = Callable[[UnitOfWork, str], Awaitable[int]]


class PolicyCalendar:
    """Finds what is due, by one statement each, and has each policy take its step in a transaction of its own.

    One policy that can't take its step is logged and stops no other; all of it may be cut off and taken up again.
    """

    def __init__(self, database: Database, step: Step, *, offer_days: int, most: int = MOST) -> None:
        self._database = database
        self._step = step
        self._offer = timedelta(days=offer_days)
        self._most = most

    async def run(self) -> int:
        """Do what is due; of several schedulers one finds it. Returns how many steps were taken."""
        async with leading(self._database, "policies") as uow:
            due = [] if uow is None else await self._due(uow)
        return sum([await self._take(policy_id) for policy_id in due])

    async def _due(self, uow: UnitOfWork) -> list[str]:
        now = clock.now()
        found = [
            *await repository_lists.to_end(uow, now, self._most),
            *await repository_lists.to_begin(uow, now, self._most),
            *await repository_lists.to_offer(uow, now + self._offer, self._most),
        ]
        return list(dict.fromkeys(found))

    async def _take(self, policy_id: str) -> int:
        try:
            async with self._database.begin() as uow:
                return await self._step(uow, policy_id)
        except AppError as error:
            log.warning("policy_step_failed", policy_id=policy_id, cause=error.code)
            return 0
