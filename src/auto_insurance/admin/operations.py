"""What keeps the system going, as operators see it."""

from __future__ import annotations

from auto_insurance import __version__
from auto_insurance.admin import queries
from auto_insurance.admin.schemas_operations import (
    ConsumerGroup,
    ConsumerMember,
    ConsumerPlace,
    Consumers,
    Setting,
    SystemOut,
)
from auto_insurance.infra.bus import groups
from auto_insurance.infra.bus.groups import Group
from auto_insurance.infra.bus.protocol import EventLog
from auto_insurance.infra.config import Settings
from auto_insurance.infra.config.overview import describe
from auto_insurance.infra.db import migrate
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock


class Operations:
    """Tells of consumers and of the program."""

    def __init__(self, database: Database, log: EventLog, settings: Settings) -> None:
        self._database = database
        self._log = log
        self._settings = settings
        self._started_at = clock.now()
        self._needed: str | None = None

    async def consumers(self, uow: UnitOfWork) -> Consumers:
        """Return all consumer groups with their lag. Raises what the log raises when it is away."""
        return Consumers(items=[_group(group) for group in await groups.groups(uow, self._log)])

    async def system(self, uow: UnitOfWork) -> SystemOut:
        """Return version, schema, sizes and settings; secrets are masked."""
        if self._needed is None:
            self._needed = migrate.head()
        sizes = await queries.table_sizes(uow)
        return SystemOut(
            version=__version__,
            environment=str(self._settings.environment),
            event_log=str(self._settings.event_log),
            migration=await migrate.current(self._database.engine),
            migration_needed=self._needed,
            started_at=self._started_at,
            table_bytes=dict(sorted(sizes.items(), key=lambda one: -one[1])),
            index_hit_ratio=await queries.index_hit_ratio(uow),
            settings=[
                Setting(name=row.name, value=row.value, source=row.source, theme=row.theme)
                for row in describe(self._settings)
            ],
        )


def _group(group: Group) -> ConsumerGroup:
    return ConsumerGroup(
        group=group.name,
        topics=group.topics,
        lag=group.lag,
        members=[
            ConsumerMember(name=one.name, seen_at=one.seen_at, partitions=one.partitions) for one in group.members
        ],
        partitions=[
            ConsumerPlace(
                topic=place.topic,
                partition=place.partition,
                next_offset=place.next_offset,
                end=place.end,
                lag=place.lag,
                moved_at=place.moved_at,
            )
            for place in group.places
        ],
    )
