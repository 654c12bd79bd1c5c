"""All SQL of the risk domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    ARRAY,
    Date,
    Float,
    RowMapping,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert

from auto_insurance.infra.db.copy import copy_rows
from auto_insurance.infra.db.touched import Aspect
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.risk.explain import reasons
from auto_insurance.risk.model import Contribution
from auto_insurance.risk.models import risk_scores, trip_scores
from auto_insurance.risk.schemas import DayScore, Reason, RiskScore, TripScore

MAX_HISTORY = 1000


async def add_scores(uow: UnitOfWork, scores: Sequence[RiskScore]) -> None:
    """Insert scores; one statement."""
    if scores:
        uow.touched(Aspect.SCORE, (score.driver_id for score in scores))
        await uow.conn.execute(insert(risk_scores), [_row(score) for score in scores])


async def forget_scores(uow: UnitOfWork, score_ids: Sequence[UUID]) -> int:
    """Delete scores; returns how many."""
    wanted = any_(bindparam("score_ids", list(score_ids), type_=ARRAY(Uuid)))
    query = delete(risk_scores).where(risk_scores.c.score_id == wanted).returning(risk_scores.c.driver_id)
    gone = (await uow.conn.execute(query)).scalars().all()
    uow.touched(Aspect.SCORE, gone)
    return len(gone)


_COPIED = tuple(column.name for column in risk_scores.c)


async def copy_scores(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add many scores by COPY; a row has a value for each column, JSON as text."""
    uow.touched(Aspect.SCORE, (row["driver_id"] for row in rows))
    await copy_rows(uow, risk_scores, _COPIED, (tuple(row[name] for name in _COPIED) for row in rows))


class BriefScore(msgspec.Struct, frozen=True):
    """What is needed to see whether a score moved."""

    risk_score: float
    confidence: float
    relativity: float
    basis: str
    model_version: str


async def latest_briefly(uow: UnitOfWork, driver_ids: Sequence[str]) -> dict[str, BriefScore]:
    """Return the newest score, in brief, of each driver that has one; one statement."""
    c = risk_scores.c
    wanted = func.unnest(cast(list(driver_ids), ARRAY(Text))).table_valued("driver_id").render_derived("wanted")
    newest = (
        select(*(c[name] for name in BriefScore.__struct_fields__))
        .where(c.driver_id == wanted.c.driver_id)
        .order_by(c.calculated_at.desc(), c.score_id.desc())
        .limit(1)
        .lateral("newest")
    )
    query = select(wanted.c.driver_id, newest).select_from(wanted.join(newest, true()))
    return {row[0]: BriefScore(*row[1:]) for row in await uow.conn.execute(query)}


async def latest_scores(uow: UnitOfWork, driver_ids: Sequence[str]) -> dict[str, RiskScore]:
    """Return the newest score of each driver that has one; one statement."""
    query = (
        select(risk_scores)
        .distinct(risk_scores.c.driver_id)
        .where(risk_scores.c.driver_id.in_(driver_ids))
        .order_by(risk_scores.c.driver_id, risk_scores.c.calculated_at.desc(), risk_scores.c.score_id.desc())
    )
    rows = (await uow.conn.execute(query)).mappings()
    return {row["driver_id"]: _score(row) for row in rows}


async def scores_since(uow: UnitOfWork, driver_id: str, since: datetime, limit: int) -> list[RiskScore]:
    """Return a driver's scores from ``since`` on, the newest first, at most ``limit`` (<= 1000)."""
    query = (
        select(risk_scores)
        .where(risk_scores.c.driver_id == driver_id, risk_scores.c.calculated_at >= since)
        .order_by(risk_scores.c.calculated_at.desc(), risk_scores.c.score_id.desc())
        .limit(min(limit, MAX_HISTORY))
    )
    return [_score(row) for row in (await uow.conn.execute(query)).mappings()]


async def history_page(
    uow: UnitOfWork, driver_id: str, since: datetime, *, offset: int, limit: int
) -> tuple[list[RiskScore], int]:
    """Return a page of a driver's scores from ``since`` on, the newest first, and how many there are."""
    of_driver = (risk_scores.c.driver_id == driver_id, risk_scores.c.calculated_at >= since)
    query = (
        select(risk_scores)
        .where(*of_driver)
        .order_by(risk_scores.c.calculated_at.desc(), risk_scores.c.score_id.desc())
        .offset(offset)
        .limit(limit)
    )
    total = (await uow.conn.execute(select(func.count()).select_from(risk_scores).where(*of_driver))).scalar_one()
    return [_score(row) for row in (await uow.conn.execute(query)).mappings()], total


async def score_before(uow: UnitOfWork, driver_id: str, at: datetime) -> RiskScore | None:
    """Return the newest score that was calculated before ``at``, None if there was none."""
    query = (
        select(risk_scores)
        .where(risk_scores.c.driver_id == driver_id, risk_scores.c.calculated_at < at)
        .order_by(risk_scores.c.calculated_at.desc(), risk_scores.c.score_id.desc())
        .limit(1)
    )
    row = (await uow.conn.execute(query)).mappings().first()
    return _score(row) if row is not None else None


async def get_score(uow: UnitOfWork, score_id: UUID) -> RiskScore | None:
    """Return one score, None if there is none."""
    row = (await uow.conn.execute(select(risk_scores).where(risk_scores.c.score_id == score_id))).mappings().first()
    return _score(row) if row is not None else None


async def days_since(uow: UnitOfWork, driver_id: str, since: datetime, time_zone: str) -> list[DayScore]:
    """Return the last score of each local day from ``since`` on, the oldest first; at most one per day."""
    c = risk_scores.c
    day = cast(func.timezone(time_zone, c.calculated_at), Date)
    newest = (c.calculated_at.desc(), c.score_id.desc())
    query = (
        select(
            day.label("day"),
            func.array_agg(aggregate_order_by(c.risk_score, *newest), type_=ARRAY(Float))[1].label("risk_score"),
            func.array_agg(aggregate_order_by(c.risk_category, *newest), type_=ARRAY(Text))[1].label("risk_category"),
            func.count().label("calculations"),
            func.bool_or(c.simulated).label("simulated"),
        )
        .where(c.driver_id == driver_id, c.calculated_at >= since)
        .group_by(text("1"))
        .order_by(text("1"))
    )
    return [DayScore(**row) for row in (await uow.conn.execute(query)).mappings()]


async def put_trip_score(uow: UnitOfWork, score: TripScore) -> None:
    """Insert or replace a trip's score, unless that of a later revision is there."""
    uow.touched(Aspect.TRIPS, [score.driver_id])
    statement = upsert(trip_scores).values(_row(score))
    changed = {c.name: statement.excluded[c.name] for c in trip_scores.c if not c.primary_key}
    await uow.conn.execute(
        statement.on_conflict_do_update(
            index_elements=[trip_scores.c.trip_id],
            set_=changed,
            where=trip_scores.c.revision <= statement.excluded.revision,
        )
    )


async def remove_trip_score(uow: UnitOfWork, trip_id: UUID) -> None:
    """Delete the score of a trip that no longer exists."""
    query = delete(trip_scores).where(trip_scores.c.trip_id == trip_id).returning(trip_scores.c.driver_id)
    uow.touched(Aspect.TRIPS, (await uow.conn.execute(query)).scalars())


async def get_trip_score(uow: UnitOfWork, trip_id: UUID) -> TripScore | None:
    """Return a trip's score, None if it has none."""
    row = (await uow.conn.execute(select(trip_scores).where(trip_scores.c.trip_id == trip_id))).mappings().first()
    return _trip_score(row) if row is not None else None


def _score(row: RowMapping) -> RiskScore:
    return RiskScore(**{**row, "contributions": unpack(row["contributions"])})


def _trip_score(row: RowMapping) -> TripScore:
    return TripScore(**{**row, "contributions": unpack(row["contributions"])})


def unpack(stored: Sequence[Sequence[Any]]) -> list[Reason]:
    """Return stored contributions in words, the strongest first."""
    return reasons([Contribution(*part) for part in stored])


def pack(contributions: Sequence[Reason]) -> list[tuple[str, float | None, float, float]]:
    """Return what is stored of contributions: feature, value, typical value and effect; the words are made anew."""
    return [(reason.feature, reason.value, reason.typical, reason.log_effect) for reason in contributions]


def _row(score: RiskScore | TripScore) -> dict[str, object]:
    """Return the columns: JSON ones as plain lists and mappings, the others as they are."""
    row = msgspec.structs.asdict(score)
    return {**row, "contributions": pack(score.contributions)}
