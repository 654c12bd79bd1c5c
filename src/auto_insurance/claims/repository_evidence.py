"""All SQL of frozen evidence."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import insert, select

from auto_insurance.claims.models import claim_evidence, claims
from auto_insurance.infra.db.uow import UnitOfWork

MAX_VERSIONS = 1000
MAX_CLAIMS = 100


class EvidenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version as stored; see ``models.claim_evidence``."""

    claim_id: str
    version: int
    window_start: datetime
    window_end: datetime
    devices: list[str]
    event_count: int
    content: bytes
    checksum: str
    reason: str
    frozen_at: datetime


async def add_evidence(uow: UnitOfWork, row: EvidenceRow) -> None:
    """Insert a version."""
    await uow.conn.execute(insert(claim_evidence).values(msgspec.structs.asdict(row)))


async def versions_of(uow: UnitOfWork, claim_id: str) -> list[EvidenceRow]:
    """Return all versions of a claim's evidence in order."""
    query = select(claim_evidence).where(claim_evidence.c.claim_id == claim_id).order_by(claim_evidence.c.version)
    rows = (await uow.conn.execute(query.limit(MAX_VERSIONS))).mappings()
    return [EvidenceRow(**{**row, "content": bytes(row["content"])}) for row in rows]


async def claims_around(uow: UnitOfWork, driver_id: str, since: datetime, until: datetime) -> list[str]:
    """Return a driver's claims whose loss lies in [since, until] and that are not withdrawn, in order."""
    c = claims.c
    query = (
        select(c.claim_id)
        .where(c.driver_id == driver_id, c.occurred_at.between(since, until), c.status != "withdrawn")
        .order_by(c.occurred_at, c.claim_id)
        .limit(MAX_CLAIMS)
    )
    return list((await uow.conn.execute(query)).scalars())


async def claims_with_evidence(uow: UnitOfWork, after: str, limit: int) -> list[str]:
    """Return up to ``limit`` claims that have evidence, in order, from past ``after`` on."""
    c = claim_evidence.c
    query = select(c.claim_id).where(c.claim_id > after).group_by(c.claim_id).order_by(c.claim_id).limit(limit)
    return list((await uow.conn.execute(query)).scalars())
