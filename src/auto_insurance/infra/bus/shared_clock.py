"""The time that all consumers agree on: the database's, as far as one process can tell it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from sqlalchemy import func, select

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock

EVERY_S = 60.0


class SharedClock:
    """Our clock, put right by the database's. Who closes trips by a clock of its own that is slow closes them late."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)
        self._look_at = 0.0

    def now(self) -> datetime:
        """Return the database's time."""
        return clock.now() + self._ahead

    async def compare(self, uow: UnitOfWork) -> None:
        """Ask the database, once a minute. What the answer took on its way makes us slow, never fast."""
        if time.monotonic() < self._look_at:
            return
        theirs: datetime = (await uow.conn.execute(select(func.clock_timestamp()))).scalar_one()
        self._ahead = theirs - clock.now()
        self._look_at = time.monotonic() + EVERY_S
