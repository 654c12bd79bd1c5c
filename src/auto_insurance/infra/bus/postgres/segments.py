"""Topics and the segments that hold their records: made on demand, dropped when nobody needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

import structlog

from auto_insurance.contracts.topics import TopicSpec
from auto_insurance.infra.bus.errors import InvalidRecord, LogUnavailable, TopicMismatch
from auto_insurance.infra.bus.postgres.connections import Conn, Connections
from auto_insurance.infra.bus.postgres.options import PostgresLogOptions

log = structlog.get_logger(__name__)
_LOCK = "hashtextextended('event_log_segments', 0)"

_ENDS = """
SELECT h.partition_no, coalesce(min(n.base_offset), h.next_offset) AS end_offset
FROM log_heads h
JOIN log_segment_bases b ON b.topic_no = h.topic_no AND b.partition_no = h.partition_no AND b.segment = $2
LEFT JOIN log_segment_bases n ON n.topic_no = h.topic_no AND n.partition_no = h.partition_no AND n.segment > $2
WHERE h.topic_no = $1 GROUP BY h.partition_no, h.next_offset
"""
_BEHIND = f"""
SELECT EXISTS (
    SELECT FROM ({_ENDS}) AS e
    CROSS JOIN (SELECT DISTINCT group_name FROM consumer_offsets WHERE topic = $3 AND topic_id = $4) AS g
    LEFT JOIN consumer_offsets c
        ON c.group_name = g.group_name AND c.topic = $3 AND c.partition_no = e.partition_no AND c.topic_id = $4
    WHERE coalesce(c.next_offset, 0) < e.end_offset
)
"""  # noqa: S608 (constants only)


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as the engine knows it."""

    no: int
    name: str
    id: str
    partitions: int


def table_of(topic_no: int, segment: int) -> str:
    """Return the name of a segment's table. Safe to put into SQL: two integers make it."""
    return f"log_t{int(topic_no)}_s{int(segment)}"


class Segments:
    """The registry of topics and the life of their segments."""

    def __init__(self, connections: Connections, options: PostgresLogOptions) -> None:
        self._connections = connections
        self._options = options
        self._known: dict[str, TopicInfo] = {}

    async def topic(self, name: str, *, fresh: bool = False) -> TopicInfo:
        """Return a topic. Raises ``InvalidRecord`` if there is none of that name."""
        if fresh or name not in self._known:
            self._known.pop(name, None)
            async with self._connections.use() as conn:
                row = await conn.fetchrow(
                    "SELECT topic_no, topic_id::text AS id, partitions FROM log_topics WHERE topic = $1", name
                )
            if row is None:
                raise InvalidRecord(f"there is no topic {name}")
            self._known[name] = TopicInfo(row["topic_no"], name, row["id"], row["partitions"])
        return self._known[name]

    async def ensure(self, specs: Sequence[TopicSpec]) -> None:
        """Create the topics that are missing. Raises ``TopicMismatch`` on another number of partitions."""
        async with self._connections.use() as conn, conn.transaction():
            await conn.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            for spec in specs:
                row = await conn.fetchrow("SELECT partitions FROM log_topics WHERE topic = $1", spec.name)
                if row is None:
                    await _create(conn, spec)
                elif row["partitions"] != spec.partitions:
                    raise TopicMismatch(f"topic {spec.name} has {row['partitions']} partitions, not {spec.partitions}")
                else:
                    await conn.execute(
                        "UPDATE log_topics SET retention_days = $2 WHERE topic = $1 AND retention_days <> $2",
                        spec.name,
                        spec.retention_days,
                    )

    async def delete(self, name: str) -> None:
        """Remove a topic with its records, for good. Offsets of groups stay and tell of it (``TopicRemade``)."""
        info = await self.topic(name, fresh=True)
        async with self._connections.use() as conn, conn.transaction():
            await conn.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            for row in await conn.fetch("SELECT segment FROM log_segments WHERE topic_no = $1", info.no):
                await conn.execute(f"DROP TABLE {table_of(info.no, row['segment'])}")
            for table in ("log_segments", "log_segment_bases", "log_heads", "log_topics"):
                await conn.execute(f"DELETE FROM {table} WHERE topic_no = $1", info.no)  # noqa: S608
        del self._known[name]

    async def roll(self, *, force: bool = False) -> int:
        """Open a new segment for topics whose open one is old or large; returns how many.

        Appends go on meanwhile: the new table stands before anybody is sent to it.
        """
        rolled = 0
        async with self._connections.use() as conn, conn.transaction():
            if not await conn.fetchval(f"SELECT pg_try_advisory_xact_lock({_LOCK})"):
                return 0
            topics = await conn.fetch(
                "SELECT topic_no, segment, EXTRACT(epoch FROM now() - segment_opened_at)::float8 AS age, "
                "EXISTS (SELECT FROM log_heads h WHERE h.topic_no = t.topic_no AND h.segment = t.segment) AS used, "
                "pg_total_relation_size(to_regclass('log_t' || topic_no || '_s' || segment)) AS bytes "
                "FROM log_topics t ORDER BY topic_no"
            )
            for row in topics:
                due = row["age"] > self._options.segment_age_s or row["bytes"] > self._options.segment_bytes
                if row["used"] and (due or force):
                    await _open_segment(conn, row["topic_no"], row["segment"] + 1)
                    rolled += 1
        return rolled

    async def trim(self) -> int:
        """Drop segments that are past their topic's retention and past every registered group; returns how many."""
        async with self._connections.use() as conn:
            old = await conn.fetch(
                "SELECT t.topic, t.topic_no, t.topic_id::text AS topic_id, s.segment "
                "FROM log_topics t JOIN log_segments s USING (topic_no) "
                "WHERE s.segment < t.segment AND s.closed_at < now() - make_interval(days => t.retention_days) "
                "ORDER BY t.topic_no, s.segment LIMIT 1000"
            )
        dropped = 0
        blocked: set[int] = set()
        for row in old:
            if row["topic_no"] in blocked:
                continue
            info = TopicInfo(row["topic_no"], row["topic"], row["topic_id"], 0)
            try:
                gone = await self._drop(info, row["segment"])
            except LogUnavailable:
                gone = False  # a lock was not to be had in time; the next run tries again
            if gone:
                dropped += 1
            else:
                blocked.add(info.no)
        return dropped

    async def _drop(self, info: TopicInfo, segment: int) -> bool:
        table = table_of(info.no, segment)
        async with self._connections.use() as conn, conn.transaction():
            await conn.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            if not await conn.fetchval("SELECT to_regclass($1) IS NOT NULL", table):
                return True
            # Ends a late append into the segment before we look where it ends.
            await conn.execute("SET LOCAL lock_timeout = '2s'")
            await conn.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            if await conn.fetchval(_BEHIND, info.no, segment, info.name, info.id):
                return False
            await conn.execute(f"DROP TABLE {table}")
            for name in ("log_segments", "log_segment_bases"):
                await conn.execute(f"DELETE FROM {name} WHERE topic_no = $1 AND segment = $2", info.no, segment)  # noqa: S608
        log.info("log_segment_dropped", topic=info.name, segment=segment)
        return True


async def _create(conn: Conn, spec: TopicSpec) -> None:
    no = await conn.fetchval(
        "INSERT INTO log_topics (topic, topic_id, partitions, retention_days, segment) VALUES ($1, $2, $3, $4, 0) "
        "RETURNING topic_no",
        spec.name,
        uuid4(),
        spec.partitions,
        spec.retention_days,
    )
    await conn.execute(
        "INSERT INTO log_heads (topic_no, partition_no) SELECT $1, generate_series(0, $2::int - 1)", no, spec.partitions
    )
    await _open_segment(conn, no, 1)


async def _open_segment(conn: Conn, topic_no: int, segment: int) -> None:
    table = table_of(topic_no, segment)
    await conn.execute(
        f"CREATE TABLE {table} (LIKE log_records INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING INDEXES)"
    )
    await conn.execute(
        f"ALTER TABLE log_records ATTACH PARTITION {table} "
        f"FOR VALUES FROM ({int(topic_no)}, {int(segment)}) TO ({int(topic_no)}, {int(segment) + 1})"
    )
    await conn.execute("INSERT INTO log_segments (topic_no, segment) VALUES ($1, $2)", topic_no, segment)
    await conn.execute(
        "UPDATE log_segments SET closed_at = now() WHERE topic_no = $1 AND segment < $2 AND closed_at IS NULL",
        topic_no,
        segment,
    )
    await conn.execute(
        "UPDATE log_topics SET segment = $2, segment_opened_at = now() WHERE topic_no = $1", topic_no, segment
    )
