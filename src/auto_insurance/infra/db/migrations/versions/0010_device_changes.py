"""Changes of devices' assignments, noted by triggers for consumers that remember assignments.

Revision ID: 0010_device_changes
Revises: 0009_partitions
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_device_changes"
down_revision = "0009_partitions"
branch_labels = None
depends_on = None

# Changes older than a day have been seen: consumers look with every batch and start anew after an hour's rest. Those
# that another transaction is removing are left to it.
_NOTE = """
CREATE FUNCTION note_device_changes(device_ids text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO device_changes (device_id, changed_by, changed_at)
    SELECT DISTINCT d, pg_current_xact_id()::text::bigint, clock_timestamp() FROM unnest(device_ids) AS d;
    DELETE FROM device_changes WHERE change_id IN (
        SELECT change_id FROM device_changes WHERE changed_at < now() - interval '1 day'
        ORDER BY changed_at LIMIT 1000 FOR UPDATE SKIP LOCKED
    );
$$
"""
_ASSIGNMENTS = """
CREATE FUNCTION note_assignments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM note_device_changes(ARRAY(SELECT device_id FROM before));
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM note_device_changes(ARRAY(SELECT device_id FROM after));
    END IF;
    RETURN NULL;
END;
$$
"""
_TIME_ZONE = """
CREATE FUNCTION note_time_zone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_device_changes(ARRAY(SELECT device_id FROM device_assignments WHERE driver_id = NEW.driver_id));
    RETURN NULL;
END;
$$
"""
_TRIGGERS = (
    "CREATE TRIGGER note_insert AFTER INSERT ON device_assignments REFERENCING NEW TABLE AS after"
    " FOR EACH STATEMENT EXECUTE FUNCTION note_assignments()",
    "CREATE TRIGGER note_update AFTER UPDATE ON device_assignments"
    " REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION note_assignments()",
    "CREATE TRIGGER note_delete AFTER DELETE ON device_assignments REFERENCING OLD TABLE AS before"
    " FOR EACH STATEMENT EXECUTE FUNCTION note_assignments()",
    "CREATE TRIGGER note_time_zone AFTER UPDATE OF time_zone ON drivers FOR EACH ROW"
    " WHEN (OLD.time_zone IS DISTINCT FROM NEW.time_zone) EXECUTE FUNCTION note_time_zone()",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.create_table(
        "device_changes",
        sa.Column("change_id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("device_id", sa.Text, nullable=False),
        sa.Column("changed_by", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("change_id", name="pk_device_changes"),
    )
    op.create_index("ix_device_changes_changed_by", "device_changes", ["changed_by"])
    op.create_index("ix_device_changes_changed_at", "device_changes", ["changed_at"])
    for statement in (_NOTE, _ASSIGNMENTS, _TIME_ZONE, *_TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute("DROP TRIGGER note_time_zone ON drivers")
    for name in ("note_insert", "note_update", "note_delete"):
        op.execute(f"DROP TRIGGER {name} ON device_assignments")
    op.execute("DROP FUNCTION note_time_zone()")
    op.execute("DROP FUNCTION note_assignments()")
    op.execute("DROP FUNCTION note_device_changes(text[])")
    op.drop_table("device_changes")
