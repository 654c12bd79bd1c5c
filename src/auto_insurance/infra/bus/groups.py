"""Consumer groups as an operator sees them: how far, how far behind, who reads. The same for both engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select

from auto_insurance.infra.bus import offsets
from auto_insurance.infra.bus.errors import InvalidRecord
from auto_insurance.infra.bus.models import bus_members, consumer_offsets, consumer_status
from auto_insurance.infra.bus.protocol import EventLog, TopicPartition
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.errors import AppError, ErrorKind

ALIVE_S = 30.0
"""A member that was not heard of for longer is gone."""


class UnknownGroup(AppError):
    """No group of this name has ever read anything here."""

    kind = ErrorKind.NOT_FOUND
    code = "consumer_group_unknown"


class GroupAlive(AppError):
    """The group has members that run; stop them first."""

    kind = ErrorKind.CONFLICT
    code = "consumer_group_alive"


@dataclass(frozen=True, slots=True)
class Member:
    """A running consumer; ``partitions`` None where it has not said yet."""

    name: str
    seen_at: datetime
    partitions: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a group is on a partition. ``end`` and ``lag`` are None where the topic no longer exists in the log."""

    topic: str
    partition: int
    next_offset: int
    end: int | None
    moved_at: datetime

    @property
    def lag(self) -> int | None:
        """Records not processed yet."""
        return None if self.end is None else max(0, self.end - self.next_offset)


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group."""

    name: str
    places: tuple[Place, ...]
    members: tuple[Member, ...]

    @property
    def lag(self) -> int:
        """Records not processed yet, over all partitions."""
        return sum(place.lag or 0 for place in self.places)

    @property
    def topics(self) -> list[str]:
        """What it reads."""
        return sorted({place.topic for place in self.places})


async def groups(uow: UnitOfWork, log: EventLog, only: str | None = None) -> list[Group]:
    """Return all groups by name, or one. Raises what the log raises when it is away."""
    c = consumer_offsets.c
    query = select(c.group_name, c.topic, c.partition_no, c.next_offset, c.updated_at)
    query = query.order_by(c.group_name, c.topic, c.partition_no)
    rows = (await uow.conn.execute(query if only is None else query.where(c.group_name == only))).all()
    ends: dict[TopicPartition, int] = {}
    for topic in {row.topic for row in rows}:
        ends |= await _ends(log, topic)
    places: dict[str, list[Place]] = {}
    for group, topic, number, next_offset, moved_at in rows:
        place = Place(topic, number, next_offset, ends.get(TopicPartition(topic, number)), moved_at)
        places.setdefault(group, []).append(place)
    members = await _members(uow)
    names = places.keys() | (members.keys() if only is None else set())
    return [Group(name, tuple(places.get(name, ())), tuple(members.get(name, ()))) for name in sorted(names)]


async def group(uow: UnitOfWork, log: EventLog, name: str) -> Group:
    """Return one group. Raises :class:`UnknownGroup`."""
    found = await groups(uow, log, name)
    if not found:
        raise UnknownGroup(f"There is no consumer group {name}.")
    return found[0]


async def forget(uow: UnitOfWork, name: str) -> int:
    """Remove a group that will not come back: the log need not keep records for it. Returns its partitions.

    Raises :class:`UnknownGroup`, and :class:`GroupAlive` while a member runs. Which events it handled stays noted: one
    that comes back all the same reads from the start and repeats no effect.
    """
    alive = (await _members(uow)).get(name)
    if alive:
        raise GroupAlive(f"{name} has {len(alive)} running {'member' if len(alive) == 1 else 'members'}.")
    partitions = await offsets.forget_group(uow, name)
    await uow.conn.execute(delete(consumer_status).where(consumer_status.c.group_name == name))
    if not partitions:
        raise UnknownGroup(f"There is no consumer group {name}.")
    return partitions


async def _ends(log: EventLog, topic: str) -> Mapping[TopicPartition, int]:
    try:
        return await log.end_offsets(topic)
    except InvalidRecord:  # the topic is gone
        return {}


async def _members(uow: UnitOfWork) -> dict[str, list[Member]]:
    """Return who runs, by group: said by the consumers themselves, and joined in the log of PostgreSQL."""
    status, joined = consumer_status.c, bus_members.c
    said = select(status.group_name, status.member, status.seen_at, status.partitions)
    said = said.where(func.extract("epoch", func.now() - status.seen_at) < ALIVE_S)
    there = select(joined.group_name, joined.member, joined.heartbeat_at)
    there = there.where(func.extract("epoch", func.now() - joined.heartbeat_at) < ALIVE_S)
    found: dict[tuple[str, str], Member] = {
        (row.group_name, row.member): Member(row.member, row.heartbeat_at, None)
        for row in await uow.conn.execute(there)
    }
    for row in await uow.conn.execute(said):
        found[row.group_name, row.member] = Member(row.member, row.seen_at, row.partitions)
    by_group: dict[str, list[Member]] = {}
    for (name, _), member in sorted(found.items()):
        by_group.setdefault(name, []).append(member)
    return by_group
