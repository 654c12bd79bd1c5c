"""Tables of the log's PostgreSQL engine and of everything that the runner keeps beside the rows."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)

from auto_insurance.infra.db.metadata import metadata

log_topics = Table(
    "log_topics",
    metadata,
    Column("topic_no", SmallInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False, unique=True),
    Column("topic_id", Uuid, nullable=False),
    Column("partitions", SmallInteger, nullable=False),
    Column("retention_days", Integer, nullable=False),
    Column("segment", Integer, nullable=False),
    Column("segment_opened_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""Topics with the segment that appends go to."""

log_heads = Table(
    "log_heads",
    metadata,
    Column("topic_no", SmallInteger, nullable=False),
    Column("partition_no", SmallInteger, nullable=False),
    Column("next_offset", BigInteger, nullable=False, server_default="0"),
    Column("total_bytes", BigInteger, nullable=False, server_default="0"),
    Column("segment", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("topic_no", "partition_no"),
    postgresql_with={"fillfactor": 40},
)
"""The end of each partition; its row lock makes offsets commit in order."""

log_segment_bases = Table(
    "log_segment_bases",
    metadata,
    Column("topic_no", SmallInteger, nullable=False),
    Column("partition_no", SmallInteger, nullable=False),
    Column("segment", Integer, nullable=False),
    Column("base_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("topic_no", "partition_no", "segment"),
)
"""First offset of a partition in each segment that holds records of it."""

log_segments = Table(
    "log_segments",
    metadata,
    Column("topic_no", SmallInteger, nullable=False),
    Column("segment", Integer, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("closed_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("topic_no", "segment"),
)
"""Segments that exist, each a table ``log_t<topic_no>_s<segment>``."""

log_records = Table(
    "log_records",
    metadata,
    Column("topic_no", SmallInteger, nullable=False),
    Column("segment", Integer, nullable=False),
    Column("partition_no", SmallInteger, nullable=False),
    Column("record_offset", BigInteger, nullable=False),
    Column("appended_at", DateTime(timezone=True), nullable=False),
    Column("key", Text, nullable=False),
    Column("headers", Text),
    Column("value", LargeBinary, nullable=False),
    PrimaryKeyConstraint("topic_no", "segment", "partition_no", "record_offset"),
    postgresql_partition_by="RANGE (topic_no, segment)",
)
"""The records; hot paths name the segment's own table, people may query this one."""

bus_members = Table(
    "bus_members",
    metadata,
    Column("group_name", Text, nullable=False),
    Column("member", Text, nullable=False),
    Column("topics", Text, nullable=False),
    Column("heartbeat_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("group_name", "member"),
    postgresql_with={"fillfactor": 40},
)
"""Live members of consumer groups on the PostgreSQL engine; ``topics`` is sorted and joined by commas."""

bus_leases = Table(
    "bus_leases",
    metadata,
    Column("group_name", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition_no", SmallInteger, nullable=False),
    Column("member", Text, nullable=False),
    PrimaryKeyConstraint("group_name", "topic", "partition_no"),
    ForeignKeyConstraint(
        ["group_name", "member"], ["bus_members.group_name", "bus_members.member"], ondelete="CASCADE"
    ),
    Index(None, "group_name", "member"),
)
"""Who reads which partition; a member that is removed loses its leases with it."""

consumer_offsets = Table(
    "consumer_offsets",
    metadata,
    Column("group_name", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition_no", SmallInteger, nullable=False),
    Column("topic_id", Text, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("group_name", "topic", "partition_no"),
    postgresql_with={"fillfactor": 40},
)
"""Where each group reads next. ``epoch`` grows with every take-over and fences the owner before."""

consumer_status = Table(
    "consumer_status",
    metadata,
    Column("group_name", Text, nullable=False),
    Column("member", Text, nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("lag_messages", BigInteger, nullable=False),
    Column("lag_seconds", Double, nullable=False),
    Column("partitions", Integer, nullable=False),
    PrimaryKeyConstraint("group_name", "member"),
    postgresql_with={"fillfactor": 40},
)
"""What each running consumer last said of itself, for the health check of other processes."""

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("group_name", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition_no", SmallInteger, nullable=False),
    Column("record_offset", BigInteger, nullable=False),
    Column("index_in_record", Integer),
    Column("key", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("decided_at", DateTime(timezone=True)),
    Column("decided_by", Text),
    Column("note", Text),
    CheckConstraint("state IN ('waiting', 'replayed', 'dropped')", name="state"),
    CheckConstraint("(state = 'waiting') = (decided_at IS NULL)", name="decided"),
    Index(None, "reason", "id"),
    Index(None, "state", "id"),
)
"""Records that can never succeed, with reason, original bytes and position. Staff replay them (``state``: the bytes
went back to the log) or drop them (the bytes are gone, the rest stays)."""

handled_events = Table(
    "handled_events",
    metadata,
    Column("group_name", Text, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("handled_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("group_name", "event_id"),
    Index(None, "handled_at"),
)
"""Domain events whose effect a group has had."""
