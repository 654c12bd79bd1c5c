"""Reads a consumer's partitions: two round trips for all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from auto_insurance.infra.bus.errors import OffsetOutOfRange
from auto_insurance.infra.bus.postgres.connections import Conn, Connections
from auto_insurance.infra.bus.postgres.segments import TopicInfo, table_of
from auto_insurance.infra.bus.protocol import Record, TopicPartition

_HEADS = "SELECT topic_no, partition_no, next_offset FROM log_heads WHERE topic_no = ANY($1)"
_LOCATE = """
SELECT u.t, u.p, (
    SELECT b.segment FROM log_segment_bases b
    WHERE b.topic_no = u.t AND b.partition_no = u.p AND b.base_offset <= u.o ORDER BY b.segment DESC LIMIT 1
) AS segment
FROM unnest($1::smallint[], $2::smallint[], $3::bigint[]) AS u(t, p, o)
"""
# Offsets have no holes, so a range is a limit. The window keeps the answer's size in bounds without reading the
# values that are left out.
_READ = """
SELECT partition_no, record_offset, appended_at, key, headers, value FROM (
    SELECT r.*, w.o,
        sum(octet_length(r.value)) OVER (ORDER BY w.o, r.record_offset) - octet_length(r.value) AS before
    FROM unnest($3::smallint[], $4::bigint[], $5::bigint[]) WITH ORDINALITY AS w(p, first, past, o)
    CROSS JOIN LATERAL (
        SELECT * FROM {table} l
        WHERE l.topic_no = $1 AND l.segment = $2 AND l.partition_no = w.p
            AND l.record_offset >= w.first AND l.record_offset < w.past
        ORDER BY l.record_offset
    ) AS r
) AS q WHERE before < $6 ORDER BY o, record_offset
"""
_decode_headers = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(slots=True)
class _Cursor:
    topic: TopicInfo
    next: int
    segment: int | None = None


@dataclass(frozen=True, slots=True)
class _Wish:
    tp: TopicPartition
    cursor: _Cursor
    count: int


class Reader:
    """Cursors on partitions. Not to be used by two tasks at once."""

    def __init__(self, connections: Connections, fetch_bytes: int) -> None:
        self._connections = connections
        self._fetch_bytes = fetch_bytes
        self._cursors: dict[TopicPartition, _Cursor] = {}
        self._turn = 0

    def positioned(self) -> frozenset[TopicPartition]:
        """Return the partitions that are read."""
        return frozenset(self._cursors)

    def place(self, tp: TopicPartition, topic: TopicInfo, offset: int) -> None:
        """Read the partition from the offset on."""
        self._cursors[tp] = _Cursor(topic, offset)

    def drop(self, tps: Sequence[TopicPartition]) -> None:
        """Read these no more."""
        for tp in tps:
            self._cursors.pop(tp, None)

    async def ends(self) -> dict[TopicPartition, int]:
        """Return the end offsets of the partitions that are read. May be called beside a ``fetch``."""
        async with self._connections.use() as conn:
            found = await self._heads(conn)
        return {tp: found[tp] for tp in self._cursors if tp in found}

    async def fetch(self, max_records: int) -> list[Record]:
        """Return the next records, in order per partition, up to the limits; empty if there are none.

        Raises ``OffsetOutOfRange``.
        """
        if not self._cursors:
            return []
        async with self._connections.use() as conn:
            wishes = self._share_out(await self._ends(conn), max_records)
            if not wishes:
                return []
            records = await self._read(conn, wishes)
            # Nothing although there is some: all of the cursors stood at the end of their segment.
            return records or await self._read(conn, wishes)

    async def _ends(self, conn: Conn) -> dict[TopicPartition, int]:
        found = await self._heads(conn)
        ends: dict[TopicPartition, int] = {}
        for tp, cursor in self._cursors.items():
            end = found.get(tp)
            if end is None or end < cursor.next:
                raise OffsetOutOfRange(f"{tp.topic}/{tp.partition} ends before offset {cursor.next}")
            ends[tp] = end
        return ends

    async def _heads(self, conn: Conn) -> dict[TopicPartition, int]:
        topics = {cursor.topic.no: cursor.topic.name for cursor in self._cursors.values()}
        rows = await conn.fetch(_HEADS, sorted(topics))
        return {TopicPartition(topics[row["topic_no"]], row["partition_no"]): row["next_offset"] for row in rows}

    def _share_out(self, ends: Mapping[TopicPartition, int], max_records: int) -> list[_Wish]:
        """Split the limit fairly over the partitions that have something, beginning with another one each time."""
        waiting = [tp for tp in sorted(ends) if ends[tp] > self._cursors[tp].next]
        self._turn += 1
        turn = self._turn % max(1, len(waiting))
        waiting = waiting[turn:] + waiting[:turn]
        left = max_records
        by_size = sorted(waiting, key=lambda tp: ends[tp] - self._cursors[tp].next)
        counts: dict[TopicPartition, int] = {}
        for i, tp in enumerate(by_size):
            counts[tp] = min(ends[tp] - self._cursors[tp].next, -(-left // (len(by_size) - i)))
            left -= counts[tp]
        return [_Wish(tp, self._cursors[tp], counts[tp]) for tp in waiting if counts[tp] > 0]

    async def _locate(self, conn: Conn, wishes: Sequence[_Wish]) -> None:
        lost = [wish for wish in wishes if wish.cursor.segment is None]
        if not lost:
            return
        rows = await conn.fetch(
            _LOCATE,
            [wish.cursor.topic.no for wish in lost],
            [wish.tp.partition for wish in lost],
            [wish.cursor.next for wish in lost],
        )
        found = {(row["t"], row["p"]): row["segment"] for row in rows}
        for wish in lost:
            wish.cursor.segment = found[wish.cursor.topic.no, wish.tp.partition]
            if wish.cursor.segment is None:
                raise _gone(wish)

    async def _read(self, conn: Conn, wishes: Sequence[_Wish]) -> list[Record]:
        await self._locate(conn, wishes)
        tables: dict[tuple[int, int], list[_Wish]] = {}
        for wish in wishes:
            tables.setdefault((wish.cursor.topic.no, wish.cursor.segment or 0), []).append(wish)
        records: list[Record] = []
        budget = self._fetch_bytes
        for (topic_no, segment), group in tables.items():
            if budget <= 0:
                break
            try:
                rows = await conn.fetch(
                    _READ.format(table=table_of(topic_no, segment)),
                    topic_no,
                    segment,
                    [wish.tp.partition for wish in group],
                    [wish.cursor.next for wish in group],
                    [wish.cursor.next + wish.count for wish in group],
                    budget,
                )
            except asyncpg.UndefinedTableError:
                raise _gone(group[0]) from None
            budget -= sum(len(row["value"]) for row in rows)
            records += self._take(group, rows)
        return records

    def _take(self, group: Sequence[_Wish], rows: Sequence[asyncpg.Record]) -> list[Record]:
        name = group[0].cursor.topic.name
        wishes = {wish.tp.partition: wish for wish in group}
        before = {wish.tp: wish.cursor.next for wish in group}
        records: list[Record] = []
        for partition, offset, appended_at, key, headers, value in rows:
            cursor = wishes[partition].cursor
            if offset != cursor.next:
                raise OffsetOutOfRange(f"{name}/{partition} has no record {cursor.next}")
            cursor.next = offset + 1
            records.append(
                Record(name, partition, offset, key, value, _decode_headers(headers) if headers else {}, appended_at)
            )
        for wish in group:
            if wish.cursor.next - before[wish.tp] < wish.count:
                wish.cursor.segment = None  # the segment ended, or the size limit cut us off: look where to go on
        return records


def _gone(wish: _Wish) -> OffsetOutOfRange:
    return OffsetOutOfRange(f"{wish.tp.topic}/{wish.tp.partition} no longer has offset {wish.cursor.next}")
