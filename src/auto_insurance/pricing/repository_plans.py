"""All SQL of rating plans, their activations and dislocation reports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.pricing.models import premiums
from auto_insurance.pricing.models_plans import plan_activations, plan_dislocations, rating_plans
from auto_insurance.pricing.rating_inputs import RatingInputs

MAX_LISTED = 200


class StoredPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it is kept; see ``models_plans.rating_plans``."""

    version: str
    document: str
    fingerprint: str
    shipped: bool
    created_at: datetime
    created_by: str


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """Since when a plan is in force, who decided it and why."""

    activation_id: UUID
    version: str
    effective_from: date
    activated_at: datetime
    activated_by: str
    reason: str
    dislocation_id: UUID


class DislocationRow(msgspec.Struct, frozen=True, kw_only=True):
    """A dislocation report as it is kept; see ``models_plans.plan_dislocations``."""

    dislocation_id: UUID
    old_version: str
    new_version: str
    old_fingerprint: str
    new_fingerprint: str
    source: str
    book_date: date
    book_fingerprint: str
    policies: int
    report: Mapping[str, Any]
    created_at: datetime
    created_by: str


async def stored_plans(uow: UnitOfWork) -> list[StoredPlan]:
    """Return the kept plans, newest first, at most 200."""
    c = rating_plans.c
    query = select(rating_plans).order_by(c.created_at.desc(), c.version).limit(MAX_LISTED)
    return [StoredPlan(**row) for row in (await uow.conn.execute(query)).mappings()]


async def stored_plan(uow: UnitOfWork, version: str) -> StoredPlan | None:
    """Return a kept plan, None if it is not kept."""
    row = (await uow.conn.execute(select(rating_plans).where(rating_plans.c.version == version))).mappings().first()
    return StoredPlan(**row) if row is not None else None


async def keep_plan(uow: UnitOfWork, plan: StoredPlan) -> bool:
    """Keep a plan; False if the version is taken."""
    query = upsert(rating_plans).values(msgspec.structs.asdict(plan)).on_conflict_do_nothing()
    return (await uow.conn.execute(query.returning(rating_plans.c.version))).scalar_one_or_none() is not None


async def activations(uow: UnitOfWork) -> list[Activation]:
    """Return the activations in the order in which they hold: by day, then by when they were decided."""
    c = plan_activations.c
    query = select(plan_activations).order_by(c.effective_from, c.activated_at, c.activation_id)
    return [Activation(**row) for row in (await uow.conn.execute(query)).mappings()]


async def add_activation(uow: UnitOfWork, activation: Activation) -> None:
    """Note an activation."""
    await uow.conn.execute(insert(plan_activations).values(msgspec.structs.asdict(activation)))


async def add_dislocation(uow: UnitOfWork, row: DislocationRow) -> None:
    """Keep a report."""
    await uow.conn.execute(insert(plan_dislocations).values(msgspec.structs.asdict(row)))


async def dislocations(uow: UnitOfWork, version: str, limit: int = 20) -> list[DislocationRow]:
    """Return the reports on a new plan, newest first."""
    c = plan_dislocations.c
    query = (
        select(plan_dislocations)
        .where(c.new_version == version)
        .order_by(c.created_at.desc(), c.dislocation_id)
        .limit(limit)
    )
    return [DislocationRow(**row) for row in (await uow.conn.execute(query)).mappings()]


async def dislocation(uow: UnitOfWork, dislocation_id: UUID) -> DislocationRow | None:
    """Return a report, None if there is no such."""
    query = select(plan_dislocations).where(plan_dislocations.c.dislocation_id == dislocation_id)
    row = (await uow.conn.execute(query)).mappings().first()
    return DislocationRow(**row) if row is not None else None


async def newest_inputs(uow: UnitOfWork, below: str | None, limit: int) -> list[tuple[str, RatingInputs]]:
    """Return the inputs of each driver's newest premium, from the last driver id down; ``below`` is where to go on."""
    c = premiums.c
    query = select(c.driver_id, c.inputs).distinct(c.driver_id).order_by(c.driver_id.desc(), c.version.desc())
    if below is not None:
        query = query.where(c.driver_id < below)
    rows = await uow.conn.execute(query.limit(limit))
    return [(driver_id, msgspec.convert(inputs, RatingInputs)) for driver_id, inputs in rows]
