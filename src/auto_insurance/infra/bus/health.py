"""Health of the log and of its consumers, as other processes see it."""

from __future__ import annotations

from sqlalchemy import func, select

from auto_insurance.infra.bus.models import consumer_status
from auto_insurance.infra.bus.progress import Lag
from auto_insurance.infra.bus.protocol import EventLog
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.errors import Unavailable


class ConsumerBehind(Unavailable):
    """Nobody consumes, or too slowly."""

    code = "consumer_behind"


class EventLogHealth:
    """Check ``event_log``: the log takes and gives records."""

    name = "event_log"

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def check(self) -> None:
        """Raise ``LogUnavailable`` or ``LogFull`` if it does not."""
        await self._log.check()


class ConsumerHealth:
    """Check ``consumer``: a member of the group has been heard of lately and keeps up."""

    name = "consumer"

    def __init__(
        self, database: Database, group: str, *, max_silence_s: float = 30.0, max_lag_s: float = 300.0
    ) -> None:
        self._database = database
        self._group = group
        self._max_silence_s = max_silence_s
        self._max_lag_s = max_lag_s

    async def check(self) -> None:
        """Raise ``ConsumerBehind``."""
        lag = await self.lag()
        if lag is None:
            raise ConsumerBehind(f"no consumer of {self._group} was heard of in {self._max_silence_s:.0f} s")
        if lag.seconds > self._max_lag_s:
            raise ConsumerBehind(f"{self._group} is {lag.seconds:.0f} s and {lag.messages} records behind")

    async def lag(self) -> Lag | None:
        """Return the lag of all live members together, or ``None`` if there is none."""
        age = func.extract("epoch", func.now() - consumer_status.c.seen_at)
        query = select(
            func.count(),
            func.sum(consumer_status.c.lag_messages),
            func.max(consumer_status.c.lag_seconds),
            func.sum(consumer_status.c.partitions),
        ).where(consumer_status.c.group_name == self._group, age < self._max_silence_s)
        async with self._database.read() as uow:
            members, messages, seconds, partitions = (await uow.conn.execute(query)).one()
        return Lag(int(messages), float(seconds), int(partitions)) if members else None
