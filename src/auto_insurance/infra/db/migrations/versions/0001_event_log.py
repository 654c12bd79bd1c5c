"""Event log, outbox, consumer offsets, dead letters.

Revision ID: 0001_event_log
Revises: None
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001_event_log"
down_revision = None
branch_labels = None
depends_on = None

_APPEND = """
CREATE FUNCTION event_log_append(
    p_topic smallint, p_partitions smallint[], p_keys text[], p_headers text[], p_values bytea[]
) RETURNS TABLE (partition_no smallint, base_offset bigint)
LANGUAGE plpgsql AS $$
-- Appends records of one topic, given in order of partition. Locks the heads in that order, so that writers
-- can't deadlock and the offsets of a partition commit in order. Reads the open segment only after the locks:
-- within a partition, segments never go back.
DECLARE
    v_group record;
    v_base bigint;
    v_segment integer;
    v_parts smallint[] := '{}';
    v_bases bigint[] := '{}';
    v_shift bigint[] := '{}';
BEGIN
    FOR v_group IN
        SELECT u.p, min(u.i) AS lo, count(*) AS n, sum(octet_length(u.v)) AS bytes
        FROM unnest(p_partitions, p_values) WITH ORDINALITY AS u(p, v, i)
        GROUP BY u.p ORDER BY u.p
    LOOP
        UPDATE log_heads h
        SET next_offset = h.next_offset + v_group.n, total_bytes = h.total_bytes + v_group.bytes
        WHERE h.topic_no = p_topic AND h.partition_no = v_group.p
        RETURNING h.next_offset - v_group.n INTO v_base;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no partition % of topic %', v_group.p, p_topic USING ERRCODE = 'no_data_found';
        END IF;
        v_parts := v_parts || v_group.p;
        v_bases := v_bases || v_base;
        v_shift[v_group.p + 1] := v_base - v_group.lo;
    END LOOP;

    SELECT t.segment INTO STRICT v_segment FROM log_topics t WHERE t.topic_no = p_topic;
    INSERT INTO log_segment_bases (topic_no, partition_no, segment, base_offset)
    SELECT p_topic, b.p, v_segment, b.base
    FROM unnest(v_parts, v_bases) AS b(p, base)
    JOIN log_heads h ON h.topic_no = p_topic AND h.partition_no = b.p
    WHERE h.segment <> v_segment;
    IF FOUND THEN
        UPDATE log_heads h SET segment = v_segment
        WHERE h.topic_no = p_topic AND h.partition_no = ANY (v_parts) AND h.segment <> v_segment;
    END IF;

    EXECUTE format(
        'INSERT INTO %I (topic_no, segment, partition_no, record_offset, appended_at, key, headers, value) '
        'SELECT $1, $2, u.p, ($3)[u.p + 1] + u.i, $4, u.k, u.h, u.v '
        'FROM unnest($5, $6, $7, $8) WITH ORDINALITY AS u(p, k, h, v, i)',
        'log_t' || p_topic || '_s' || v_segment
    ) USING p_topic, v_segment, v_shift, clock_timestamp(), p_partitions, p_keys, p_headers, p_values;

    RETURN QUERY SELECT b.p, b.base FROM unnest(v_parts, v_bases) AS b(p, base);
END
$$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    _create_outbox()
    _create_log()
    _create_groups()
    _create_offsets()
    _create_dead_letters()
    op.execute(_APPEND)


def _now(name: str, *, nullable: bool = False) -> sa.Column[object]:
    default = None if nullable else sa.func.now()
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=default)


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    # A queue: every row dies soon. Vacuum by count, not by share.
    op.execute(
        "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, "
        "autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000)"
    )


def _create_log() -> None:
    op.create_table(
        "log_topics",
        sa.Column("topic_no", sa.SmallInteger, sa.Identity(always=True), nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("topic_id", sa.Uuid, nullable=False),
        sa.Column("partitions", sa.SmallInteger, nullable=False),
        sa.Column("retention_days", sa.Integer, nullable=False),
        sa.Column("segment", sa.Integer, nullable=False),
        _now("segment_opened_at"),
        sa.PrimaryKeyConstraint("topic_no", name="pk_log_topics"),
        sa.UniqueConstraint("topic", name="uq_log_topics_topic"),
    )
    op.create_table(
        "log_heads",
        sa.Column("topic_no", sa.SmallInteger, nullable=False),
        sa.Column("partition_no", sa.SmallInteger, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("total_bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("segment", sa.Integer, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("topic_no", "partition_no", name="pk_log_heads"),
        postgresql_with={"fillfactor": 40},
    )
    op.create_table(
        "log_segment_bases",
        sa.Column("topic_no", sa.SmallInteger, nullable=False),
        sa.Column("partition_no", sa.SmallInteger, nullable=False),
        sa.Column("segment", sa.Integer, nullable=False),
        sa.Column("base_offset", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("topic_no", "partition_no", "segment", name="pk_log_segment_bases"),
    )
    op.create_table(
        "log_segments",
        sa.Column("topic_no", sa.SmallInteger, nullable=False),
        sa.Column("segment", sa.Integer, nullable=False),
        _now("opened_at"),
        _now("closed_at", nullable=True),
        sa.PrimaryKeyConstraint("topic_no", "segment", name="pk_log_segments"),
    )
    op.create_table(
        "log_records",
        sa.Column("topic_no", sa.SmallInteger, nullable=False),
        sa.Column("segment", sa.Integer, nullable=False),
        sa.Column("partition_no", sa.SmallInteger, nullable=False),
        sa.Column("record_offset", sa.BigInteger, nullable=False),
        sa.Column("appended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("headers", sa.Text),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("topic_no", "segment", "partition_no", "record_offset", name="pk_log_records"),
        postgresql_partition_by="RANGE (topic_no, segment)",
    )
    # Written once, read once or twice, dropped: compressing costs more than it saves.
    op.execute("ALTER TABLE log_records ALTER COLUMN value SET STORAGE EXTERNAL")


def _create_groups() -> None:
    op.create_table(
        "bus_members",
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("topics", sa.Text, nullable=False),
        _now("heartbeat_at"),
        sa.PrimaryKeyConstraint("group_name", "member", name="pk_bus_members"),
        postgresql_with={"fillfactor": 40},
    )
    op.create_table(
        "bus_leases",
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition_no", sa.SmallInteger, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("group_name", "topic", "partition_no", name="pk_bus_leases"),
        sa.ForeignKeyConstraint(
            ["group_name", "member"],
            ["bus_members.group_name", "bus_members.member"],
            name="fk_bus_leases_group_name_bus_members",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_bus_leases_group_name_member", "bus_leases", ["group_name", "member"])
    op.create_table(
        "consumer_status",
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        _now("seen_at"),
        sa.Column("lag_messages", sa.BigInteger, nullable=False),
        sa.Column("lag_seconds", sa.Double, nullable=False),
        sa.Column("partitions", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("group_name", "member", name="pk_consumer_status"),
        postgresql_with={"fillfactor": 40},
    )


def _create_offsets() -> None:
    op.create_table(
        "consumer_offsets",
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition_no", sa.SmallInteger, nullable=False),
        sa.Column("topic_id", sa.Text, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("group_name", "topic", "partition_no", name="pk_consumer_offsets"),
        postgresql_with={"fillfactor": 40},
    )
    op.create_table(
        "handled_events",
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        _now("handled_at"),
        sa.PrimaryKeyConstraint("group_name", "event_id", name="pk_handled_events"),
    )
    op.create_index("ix_handled_events_handled_at", "handled_events", ["handled_at"])


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("group_name", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition_no", sa.SmallInteger, nullable=False),
        sa.Column("record_offset", sa.BigInteger, nullable=False),
        sa.Column("index_in_record", sa.Integer),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letters"),
    )
    op.create_index("ix_dead_letters_reason_id", "dead_letters", ["reason", "id"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("DROP FUNCTION event_log_append(smallint, smallint[], text[], text[], bytea[])")
    for table in (
        "dead_letters",
        "handled_events",
        "consumer_offsets",
        "consumer_status",
        "bus_leases",
        "bus_members",
        "log_records",
        "log_segments",
        "log_segment_bases",
        "log_heads",
        "log_topics",
        "outbox",
    ):
        op.drop_table(table)
