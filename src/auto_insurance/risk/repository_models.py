"""SQL of the registry of risk models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.risk.models import risk_model_changes, risk_models, shadow_scores

_LISTED = tuple(column for column in risk_models.c if column.name != "artefact")
MAX_LISTED = 200
PUT_AT_ONCE = 2_000
"""A statement has 32,767 parameters at most."""


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model without its files; see ``models.risk_models``."""

    version: str
    kind: str
    status: str
    shipped: bool
    simulated: bool
    trained_on: str
    sha256: str
    metrics: dict[str, float]
    card: str
    created_at: datetime
    created_by: str
    changed_at: datetime


class ModelChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a model's status; see ``models.risk_model_changes``."""

    change_id: UUID
    version: str
    from_status: str | None
    to_status: str
    changed_at: datetime
    changed_by: str
    note: str | None


class ShadowRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a challenger made of a driver beside the champion."""

    driver_id: str
    calculated_at: datetime
    champion_version: str
    challenger_version: str
    champion_score: float
    challenger_score: float
    champion_frequency: float
    challenger_frequency: float


async def models(uow: UnitOfWork) -> list[ModelRow]:
    """Return the registered models, newest first, at most 200."""
    query = select(*_LISTED).order_by(risk_models.c.created_at.desc(), risk_models.c.version).limit(MAX_LISTED)
    return [_model(row) for row in (await uow.conn.execute(query)).mappings()]


async def model(uow: UnitOfWork, version: str, *, lock: bool = False) -> ModelRow | None:
    """Return one model, None if it is not registered."""
    query = select(*_LISTED).where(risk_models.c.version == version)
    row = (await uow.conn.execute(query.with_for_update() if lock else query)).mappings().first()
    return _model(row) if row is not None else None


async def statuses(uow: UnitOfWork, wanted: Sequence[str]) -> dict[str, str]:
    """Return the version of each of these statuses that a model has; each is one model's at most."""
    query = select(risk_models.c.status, risk_models.c.version).where(risk_models.c.status.in_(wanted))
    return {row[0]: row[1] for row in await uow.conn.execute(query)}


async def artefact(uow: UnitOfWork, version: str) -> bytes | None:
    """Return a model's files as they were uploaded, None for one that ships with the program."""
    query = select(risk_models.c.artefact).where(risk_models.c.version == version)
    return (await uow.conn.execute(query)).scalar_one_or_none()


async def add_model(uow: UnitOfWork, row: ModelRow, content: bytes | None) -> bool:
    """Register a model; False if the version is taken."""
    values = {**msgspec.structs.asdict(row), "artefact": content}
    query = upsert(risk_models).values(values).on_conflict_do_nothing().returning(risk_models.c.version)
    return (await uow.conn.execute(query)).scalar_one_or_none() is not None


async def set_status(uow: UnitOfWork, version: str, before: str | None, after: str, by: str, note: str | None) -> None:
    """Change a model's status and note who did it."""
    now = clock.now()
    uow.touched_everything()
    await uow.conn.execute(
        update(risk_models).where(risk_models.c.version == version).values(status=after, changed_at=now)
    )
    await uow.conn.execute(
        insert(risk_model_changes).values(
            change_id=ids.new_uuid(),
            version=version,
            from_status=before,
            to_status=after,
            changed_at=now,
            changed_by=by,
            note=note,
        )
    )


async def changes(uow: UnitOfWork, limit: int = 100) -> list[ModelChange]:
    """Return the last changes, newest first."""
    c = risk_model_changes.c
    query = select(risk_model_changes).order_by(c.changed_at.desc(), c.change_id.desc()).limit(limit)
    return [ModelChange(**row) for row in (await uow.conn.execute(query)).mappings()]


async def put_shadow(uow: UnitOfWork, rows: Sequence[ShadowRow]) -> None:
    """Keep what the challenger made of drivers: the newest per driver and challenger."""
    keys = {"driver_id", "challenger_version"}
    for start in range(0, len(rows), PUT_AT_ONCE):
        values = [msgspec.structs.asdict(row) for row in rows[start : start + PUT_AT_ONCE]]
        statement = upsert(shadow_scores).values(values)
        changed: dict[str, Any] = {c.name: statement.excluded[c.name] for c in shadow_scores.c if c.name not in keys}
        await uow.conn.execute(statement.on_conflict_do_update(index_elements=sorted(keys), set_=changed))


async def shadows(uow: UnitOfWork, challenger: str, champion: str, limit: int = 100_000) -> list[ShadowRow]:
    """Return the newest comparison of each driver, at most ``limit``."""
    c = shadow_scores.c
    query = (
        select(shadow_scores)
        .where(c.challenger_version == challenger, c.champion_version == champion)
        .order_by(c.driver_id)
        .limit(limit)
    )
    return [ShadowRow(**row) for row in (await uow.conn.execute(query)).mappings()]


def _model(row: RowMapping) -> ModelRow:
    return ModelRow(**row)
