"""All SQL of erasure's steps and proofs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.privacy.models import erasure_proofs, erasure_steps

MAX_STEPS = 5_000


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """A step as stored; see ``models.erasure_steps``."""

    request_id: UUID
    name: str
    before: dict[str, Any]
    after: dict[str, Any] | None
    changed: int
    began_at: datetime
    done_at: datetime | None


class ProofRow(msgspec.Struct, frozen=True, kw_only=True):
    """A proof as stored; see ``models.erasure_proofs``."""

    proof_id: UUID
    number: int
    request_id: UUID
    driver_id: str
    document: str
    sha256: str
    previous: str | None
    made_at: datetime


async def steps_of(uow: UnitOfWork, request_id: UUID) -> dict[str, StepRow]:
    """Return the steps that have begun, by name."""
    c = erasure_steps.c
    query = select(erasure_steps).where(c.request_id == request_id).order_by(c.began_at, c.name).limit(MAX_STEPS)
    return {row["name"]: StepRow(**row) for row in (await uow.conn.execute(query)).mappings()}


async def begin_step(uow: UnitOfWork, request_id: UUID, name: str, before: Mapping[str, Any]) -> None:
    """Note what there is before a step. What an earlier attempt noted stays: it saw more."""
    values = {"request_id": request_id, "name": name, "before": dict(before), "began_at": clock.now()}
    await uow.conn.execute(insert(erasure_steps).values(**values).on_conflict_do_nothing())


async def add_changed(uow: UnitOfWork, request_id: UUID, name: str, rows: int) -> None:
    """Note that a step changed rows, in the transaction that changes them."""
    c = erasure_steps.c
    query = update(erasure_steps).where(c.request_id == request_id, c.name == name)
    await uow.conn.execute(query.values(changed=c.changed + rows))


async def end_step(uow: UnitOfWork, request_id: UUID, name: str, after: Mapping[str, Any]) -> None:
    """Note that a step is done, and what there is after it."""
    c = erasure_steps.c
    query = update(erasure_steps).where(c.request_id == request_id, c.name == name)
    await uow.conn.execute(query.values(after=dict(after), done_at=clock.now()))


async def last_proof(uow: UnitOfWork) -> ProofRow | None:
    """Return the newest proof."""
    query = select(erasure_proofs).order_by(erasure_proofs.c.number.desc()).limit(1)
    row = (await uow.conn.execute(query)).mappings().one_or_none()
    return None if row is None else ProofRow(**row)


async def add_proof(uow: UnitOfWork, row: ProofRow) -> None:
    """Store a proof."""
    await uow.conn.execute(insert(erasure_proofs).values(**msgspec.structs.asdict(row)))


async def get_proof(uow: UnitOfWork, proof_id: UUID) -> ProofRow | None:
    """Return a proof."""
    query = select(erasure_proofs).where(erasure_proofs.c.proof_id == proof_id)
    row = (await uow.conn.execute(query)).mappings().one_or_none()
    return None if row is None else ProofRow(**row)


async def proof_of(uow: UnitOfWork, request_id: UUID) -> ProofRow | None:
    """Return the proof of a request."""
    query = select(erasure_proofs).where(erasure_proofs.c.request_id == request_id)
    row = (await uow.conn.execute(query)).mappings().one_or_none()
    return None if row is None else ProofRow(**row)


async def proof_numbered(uow: UnitOfWork, number: int) -> ProofRow | None:
    """Return the proof of a number."""
    query = select(erasure_proofs).where(erasure_proofs.c.number == number)
    row = (await uow.conn.execute(query)).mappings().one_or_none()
    return None if row is None else ProofRow(**row)
