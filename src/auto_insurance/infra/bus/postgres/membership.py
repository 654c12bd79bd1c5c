"""Who of a group reads which partition: members with heartbeats and leases, shared out fairly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from auto_insurance.infra.bus.postgres.connections import Conn, Connections
from auto_insurance.infra.bus.postgres.options import PostgresLogOptions
from auto_insurance.infra.bus.postgres.segments import Segments
from auto_insurance.infra.bus.protocol import TopicPartition


@dataclass(frozen=True, slots=True)
class Plan:
    """What one member should do about its leases."""

    claim: frozenset[TopicPartition]
    release: frozenset[TopicPartition]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a member owns now, what of that it should give back, and whether anybody else should look again."""

    owned: frozenset[TopicPartition]
    release: frozenset[TopicPartition]
    changed: bool


def plan(
    partitions: Collection[TopicPartition], members: Collection[str], leases: Mapping[TopicPartition, str], me: str
) -> Plan:
    """Return what to claim and release so that everybody's share differs by one at most.

    Those who hold most keep the larger shares, so that no more moves than has to. Only free partitions are claimed;
    a partition moves by its owner's release.
    """
    held = {member: sorted(tp for tp in leases if leases[tp] == member and tp in partitions) for member in members}
    ranked = sorted(members, key=lambda member: (-len(held[member]), member))
    share, extra = divmod(len(partitions), len(ranked))
    mine = held[me]
    target = share + (1 if ranked.index(me) < extra else 0)
    if len(mine) > target:
        return Plan(frozenset(), frozenset(mine[target:]))
    free = sorted(tp for tp in partitions if tp not in leases)
    return Plan(frozenset(free[: target - len(mine)]), frozenset())


class Membership:
    """One member's rows. Every change is one short transaction under the group's advisory lock."""

    def __init__(
        self,
        connections: Connections,
        segments: Segments,
        group: str,
        topics: Sequence[str],
        member: str,
        options: PostgresLogOptions,
    ) -> None:
        self._connections = connections
        self._segments = segments
        self._group = group
        self._topics = sorted(topics)
        self._member = member
        self._options = options

    async def sync(self, give_back: Collection[TopicPartition]) -> Standing:
        """Give leases back, remove members that fell silent, claim a fair share."""
        partitions = await self._partitions()
        async with self._connections.use() as conn, conn.transaction():
            await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('bus_group:' || $1, 0))", self._group)
            changed = await self._clean(conn, give_back)
            leases = await self._leases(conn)
            rows = await conn.fetch(
                "SELECT member FROM bus_members WHERE group_name = $1 AND topics = $2",
                self._group,
                ",".join(self._topics),
            )
            todo = plan(partitions, {row["member"] for row in rows}, leases, self._member)
            if todo.claim:
                await conn.execute(
                    "INSERT INTO bus_leases (group_name, topic, partition_no, member) "
                    "SELECT $1, u.t, u.p, $2 FROM unnest($3::text[], $4::smallint[]) AS u(t, p)",
                    self._group,
                    self._member,
                    [tp.topic for tp in sorted(todo.claim)],
                    [tp.partition for tp in sorted(todo.claim)],
                )
        owned = {tp for tp, member in leases.items() if member == self._member} | todo.claim
        return Standing(frozenset(owned), todo.release, changed)

    async def heartbeat(self) -> bool:
        """Say that this member lives. Returns ``False`` if it was removed meanwhile."""
        async with self._connections.use() as conn:
            status = await conn.execute(
                "UPDATE bus_members SET heartbeat_at = now() WHERE group_name = $1 AND member = $2",
                self._group,
                self._member,
            )
        return bool(status == "UPDATE 1")

    async def leave(self) -> None:
        """Remove this member; its leases are free at once."""
        async with self._connections.use() as conn:
            await conn.execute(
                "DELETE FROM bus_members WHERE group_name = $1 AND member = $2", self._group, self._member
            )

    async def _clean(self, conn: Conn, give_back: Collection[TopicPartition]) -> bool:
        silent = await conn.execute(
            "DELETE FROM bus_members WHERE group_name = $1 AND member <> $2 "
            "AND heartbeat_at < now() - make_interval(secs => $3)",
            self._group,
            self._member,
            self._options.session_timeout_s,
        )
        new = await conn.fetchval(
            "INSERT INTO bus_members (group_name, member, topics) VALUES ($1, $2, $3) "
            "ON CONFLICT (group_name, member) DO UPDATE SET heartbeat_at = now(), topics = excluded.topics "
            "RETURNING xmax = 0",
            self._group,
            self._member,
            ",".join(self._topics),
        )
        if give_back:
            await conn.execute(
                "DELETE FROM bus_leases l USING unnest($3::text[], $4::smallint[]) AS u(t, p) "
                "WHERE l.group_name = $1 AND l.member = $2 AND l.topic = u.t AND l.partition_no = u.p",
                self._group,
                self._member,
                [tp.topic for tp in give_back],
                [tp.partition for tp in give_back],
            )
        return bool(new or give_back or silent != "DELETE 0")

    async def _leases(self, conn: Conn) -> dict[TopicPartition, str]:
        rows = await conn.fetch("SELECT topic, partition_no, member FROM bus_leases WHERE group_name = $1", self._group)
        return {TopicPartition(row["topic"], row["partition_no"]): row["member"] for row in rows}

    async def _partitions(self) -> set[TopicPartition]:
        infos = [await self._segments.topic(topic) for topic in self._topics]
        return {TopicPartition(info.name, number) for info in infos for number in range(info.partitions)}
