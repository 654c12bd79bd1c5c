"""Read-only SQL over all domains, set-based: one statement per question, whatever the size of the book."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select, text, true

from auto_insurance.drivers.models import drivers
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.risk.models import risk_scores
from auto_insurance.trips.models import trips


@dataclass(frozen=True, slots=True)
class BusinessNumbers:
    """Where the book stands now."""

    active_drivers: int
    active_trips: int
    average_risk_score: float


async def business_numbers(uow: UnitOfWork) -> BusinessNumbers:
    """Count drivers and open trips; average the drivers' newest scores (0 without any)."""
    newest = (
        select(risk_scores.c.risk_score)
        .where(risk_scores.c.driver_id == drivers.c.driver_id)
        .order_by(risk_scores.c.calculated_at.desc())
        .limit(1)
        .lateral()
    )
    row = (
        await uow.conn.execute(
            select(
                select(func.count())
                .select_from(drivers)
                .where(drivers.c.status == "active", drivers.c.deactivated_at.is_(None))
                .scalar_subquery(),
                select(func.count()).select_from(trips).where(trips.c.status == "in_progress").scalar_subquery(),
                select(func.coalesce(func.avg(newest.c.risk_score), 0.0))
                .select_from(drivers.join(newest, true()))
                .scalar_subquery(),
            )
        )
    ).one()
    return BusinessNumbers(row[0], row[1], row[2])


_TABLE_SIZES = text(
    """
    SELECT coalesce(parent.relname, t.relname) AS name, sum(pg_total_relation_size(t.oid)) AS bytes
    FROM pg_class t
    LEFT JOIN pg_inherits i ON i.inhrelid = t.oid
    LEFT JOIN pg_class parent ON parent.oid = i.inhparent
    WHERE t.relkind = 'r' AND t.relnamespace = current_schema()::regnamespace
    GROUP BY 1
    """
)
_INDEX_HITS = text(
    "SELECT coalesce(sum(idx_blks_hit)::float8 / nullif(sum(idx_blks_hit + idx_blks_read), 0), 1.0)"
    " FROM pg_statio_user_indexes"
)


async def table_sizes(uow: UnitOfWork) -> dict[str, int]:
    """Return bytes per table with its indexes, partitions under their parent's name."""
    return {row.name: int(row.bytes) for row in await uow.conn.execute(_TABLE_SIZES)}


async def index_hit_ratio(uow: UnitOfWork) -> float:
    """Return the share of index blocks found in PostgreSQL's memory since its statistics began."""
    return float((await uow.conn.execute(_INDEX_HITS)).scalar_one())
