"""Sets the gauges that tell how the business and its database are doing."""

from __future__ import annotations

from auto_insurance.admin import queries
from auto_insurance.infra import metrics
from auto_insurance.infra.db.metadata import metadata
from auto_insurance.infra.db.uow import Database


async def collect(database: Database) -> None:
    """Look once and set the gauges. Tables that no model declares are left out: labels come from a closed set."""
    async with database.read() as uow:
        numbers = await queries.business_numbers(uow)
        sizes = await queries.table_sizes(uow)
        hits = await queries.index_hit_ratio(uow)
    metrics.ACTIVE_DRIVERS_TOTAL.set(numbers.active_drivers)
    metrics.ACTIVE_TRIPS_TOTAL.set(numbers.active_trips)
    metrics.AVERAGE_RISK_SCORE.set(numbers.average_risk_score)
    metrics.DB_INDEX_HIT_RATIO.set(hits)
    for table in metadata.tables:
        metrics.DB_TABLE_SIZE_BYTES.labels(table).set(sizes.get(table, 0))
