"""Consumer offsets, kept in PostgreSQL beside the rows that the records led to.

An owner *loads* its partitions, which raises their epoch: from then on the owner before fails its compare-and-set,
even where nothing was read since. A batch *advances* the offsets in its own transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    SmallInteger,
    Text,
    Update,
    and_,
    bindparam,
    case,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy import delete as sql_delete
from sqlalchemy.dialects.postgresql import ARRAY, insert

from auto_insurance.infra.bus.errors import Fenced, TopicRemade
from auto_insurance.infra.bus.models import consumer_offsets as co
from auto_insurance.infra.bus.protocol import TopicPartition
from auto_insurance.infra.db.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class Claim:
    """What an owner knows of a partition: the next offset to read and the epoch of its ownership."""

    next_offset: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Start:
    """What the log says of a partition: the topic's id and the first offset that it still has."""

    topic_id: str
    offset: int


async def load(uow: UnitOfWork, group: str, starts: Mapping[TopicPartition, Start]) -> dict[TopicPartition, Claim]:
    """Take the partitions over for the group and return where it reads next.

    A partition that the group has never read is registered at its start. Raises ``TopicRemade`` if the stored topic
    id is another one: offsets of a topic that no longer exists say nothing about the new one.
    """
    if not starts:
        return {}
    order = sorted(starts)
    await uow.conn.execute(
        insert(co).on_conflict_do_nothing(),
        [
            {
                "group_name": group,
                "topic": tp.topic,
                "partition_no": tp.partition,
                "topic_id": starts[tp].topic_id,
                "next_offset": starts[tp].offset,
            }
            for tp in order
        ],
    )
    locked = select(co.c.topic, co.c.partition_no).where(_these(group, order)).order_by(co.c.topic, co.c.partition_no)
    await uow.conn.execute(locked.with_for_update())
    rows = await uow.conn.execute(update(co).where(_these(group, order)).values(epoch=co.c.epoch + 1).returning(co))
    claims: dict[TopicPartition, Claim] = {}
    for row in rows:
        tp = TopicPartition(row.topic, row.partition_no)
        if row.topic_id != starts[tp].topic_id:
            raise TopicRemade(f"topic {tp.topic} was made anew; reset the offsets of group {group} to go on")
        claims[tp] = Claim(row.next_offset, row.epoch)
    return claims


async def advance(
    uow: UnitOfWork, group: str, claims: Mapping[TopicPartition, Claim], moves: Mapping[TopicPartition, int]
) -> None:
    """Move offsets by compare-and-set on what the owner knows. Raises ``Fenced`` unless every one of them fits."""
    order = sorted(moves)
    moved = await uow.conn.execute(
        _ADVANCE,
        {
            "own_group": group,
            "topics": [tp.topic for tp in order],
            "partitions": [tp.partition for tp in order],
            "olds": [claims[tp].next_offset for tp in order],
            "epochs": [claims[tp].epoch for tp in order],
            "news": [moves[tp] for tp in order],
        },
    )
    if moved.rowcount != len(order):
        raise Fenced(f"group {group} no longer owns a partition of this batch")


def _advance() -> Update:
    wanted = (
        func.unnest(
            bindparam("topics", type_=ARRAY(Text)),
            bindparam("partitions", type_=ARRAY(SmallInteger)),
            bindparam("olds", type_=ARRAY(BigInteger)),
            bindparam("epochs", type_=ARRAY(BigInteger)),
            bindparam("news", type_=ARRAY(BigInteger)),
        )
        .table_valued("topic", "partition_no", "old", "epoch", "new")
        .render_derived()
    )
    return (
        update(co)
        .where(
            co.c.group_name == bindparam("own_group"),
            co.c.topic == wanted.c.topic,
            co.c.partition_no == wanted.c.partition_no,
            co.c.next_offset == wanted.c.old,
            co.c.epoch == wanted.c.epoch,
        )
        .values(next_offset=wanted.c.new, updated_at=func.now())
    )


_ADVANCE = _advance()
"""Made once: every batch runs it."""


async def verify(uow: UnitOfWork, group: str, claims: Mapping[TopicPartition, Claim]) -> None:
    """Hold the partitions until the transaction ends without moving them. Raises ``Fenced`` if one is another's."""
    if not claims:
        return
    query = select(co.c.topic, co.c.partition_no, co.c.next_offset, co.c.epoch).where(_these(group, sorted(claims)))
    rows = await uow.conn.execute(query.order_by(co.c.topic, co.c.partition_no).with_for_update(read=True))
    found = {TopicPartition(row.topic, row.partition_no): Claim(row.next_offset, row.epoch) for row in rows}
    if found != dict(claims):
        raise Fenced(f"group {group} no longer owns a partition of this member")


def _these(group: str, tps: Iterable[TopicPartition]) -> ColumnElement[bool]:
    keys = [(tp.topic, tp.partition) for tp in tps]
    return and_(co.c.group_name == group, tuple_(co.c.topic, co.c.partition_no).in_(keys))


async def stored(uow: UnitOfWork, group: str) -> dict[TopicPartition, int]:
    """Return the next offsets of a group, for lag and health."""
    rows = await uow.conn.execute(
        select(co.c.topic, co.c.partition_no, co.c.next_offset).where(co.c.group_name == group)
    )
    return {TopicPartition(row.topic, row.partition_no): row.next_offset for row in rows}


async def floors(uow: UnitOfWork, topic: str, topic_id: str) -> dict[int, int]:
    """Return per partition number the offset that some group still needs; nothing where no group reads the topic.

    A group that reads the topic but never had the partition needs it from the start.
    """
    mine = and_(co.c.topic == topic, co.c.topic_id == topic_id)
    groups = select(func.count(co.c.group_name.distinct())).where(mine).scalar_subquery()
    everybody = func.count() == groups
    rows = await uow.conn.execute(
        select(co.c.partition_no, case((everybody, func.min(co.c.next_offset)), else_=0))
        .where(mine)
        .group_by(co.c.partition_no)
    )
    return {number: int(offset) for number, offset in rows}


async def reset(uow: UnitOfWork, group: str, positions: Mapping[TopicPartition, Start]) -> None:
    """Set a group's offsets by an operator's decision, after a topic was made anew. Running owners are fenced."""
    for tp, start in sorted(positions.items()):
        await uow.conn.execute(
            insert(co)
            .values(
                group_name=group,
                topic=tp.topic,
                partition_no=tp.partition,
                topic_id=start.topic_id,
                next_offset=start.offset,
            )
            .on_conflict_do_update(
                index_elements=[co.c.group_name, co.c.topic, co.c.partition_no],
                set_={"topic_id": start.topic_id, "next_offset": start.offset, "epoch": co.c.epoch + 1},
            )
        )


async def forget_group(uow: UnitOfWork, group: str) -> int:
    """Remove a group that will not come back, so that the log need not keep records for it."""
    return (await uow.conn.execute(sql_delete(co).where(co.c.group_name == group))).rowcount
