"""SQL of how far the book is from what the model learned from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Text, cast, func, select, true
from sqlalchemy.dialects.postgresql import insert as upsert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.risk.models import drift_nights, risk_scores

MAX_NIGHTS = 400


class DriftNight(msgspec.Struct, frozen=True, kw_only=True):
    """What one night's measurement found; see ``models.drift_nights``."""

    run_id: UUID
    measured_at: datetime
    model_version: str
    drivers: int
    score_drift: float | None
    feature_drift: dict[str, float | None]
    insured_years: float
    actual_claims: int
    expected_claims: float


class LatestDriving(msgspec.Struct, frozen=True):
    """A driver's newest score, as far as drift and comparisons need it."""

    driver_id: str
    features: dict[str, float | None]
    frequency: float
    miles: float
    basis: str
    model_version: str
    features_version: str


_LATEST = (
    risk_scores.c.features,
    risk_scores.c.expected_claims_per_million_miles,
    risk_scores.c.exposure_miles,
    risk_scores.c.basis,
    risk_scores.c.model_version,
    risk_scores.c.features_version,
)


async def latest_driving(uow: UnitOfWork, driver_ids: Sequence[str]) -> list[LatestDriving]:
    """Return the newest score of each driver that has one, by driver; one statement."""
    c = risk_scores.c
    wanted = func.unnest(cast(list(driver_ids), ARRAY(Text))).table_valued("driver_id").render_derived("wanted")
    newest = (
        select(*_LATEST)
        .where(c.driver_id == wanted.c.driver_id)
        .order_by(c.calculated_at.desc(), c.score_id.desc())
        .limit(1)
        .lateral("newest")
    )
    query = select(wanted.c.driver_id, newest).select_from(wanted.join(newest, true())).order_by(wanted.c.driver_id)
    return [LatestDriving(*row) for row in await uow.conn.execute(query)]


async def add_night(uow: UnitOfWork, night: DriftNight) -> None:
    """Keep a measurement; that of the same run stays as it was."""
    await uow.conn.execute(upsert(drift_nights).values(msgspec.structs.asdict(night)).on_conflict_do_nothing())


async def nights(uow: UnitOfWork, limit: int) -> list[DriftNight]:
    """Return the last measurements, newest first, at most 400."""
    query = select(drift_nights).order_by(drift_nights.c.measured_at.desc()).limit(min(limit, MAX_NIGHTS))
    return [DriftNight(**row) for row in (await uow.conn.execute(query)).mappings()]


async def is_measured(uow: UnitOfWork, run_id: UUID) -> bool:
    """Return whether a run over the book was measured."""
    query = select(drift_nights.c.run_id).where(drift_nights.c.run_id == run_id)
    return (await uow.conn.execute(query)).first() is not None
