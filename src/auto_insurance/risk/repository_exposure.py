"""SQL of what risk knows of policies and claims: a read model that their events feed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.risk.models import known_claims, policy_exposure


class Span(msgspec.Struct, frozen=True, order=True):
    """A stretch of time, [from_at, to_at)."""

    from_at: datetime
    to_at: datetime


class CoverRow(msgspec.Struct, frozen=True, kw_only=True):
    """A term of a policy; see ``models.policy_exposure``."""

    policy_id: str
    term: int
    driver_id: str
    revision: int
    term_start: datetime
    term_end: datetime
    in_force: tuple[Span, ...]


class ClaimRow(msgspec.Struct, frozen=True, kw_only=True):
    """A claim; see ``models.known_claims``."""

    claim_id: str
    driver_id: str
    policy_id: str | None
    revision: int
    coverage: str
    occurred_at: datetime
    reported_at: datetime
    counts: bool


async def put_cover(uow: UnitOfWork, row: CoverRow) -> None:
    """Keep a term as it stands, unless a later revision of it is there."""
    values = {
        **msgspec.structs.asdict(row),
        "in_force": [[span.from_at.isoformat(), span.to_at.isoformat()] for span in row.in_force],
    }
    statement = upsert(policy_exposure).values(values)
    keys = [policy_exposure.c.policy_id, policy_exposure.c.term]
    await uow.conn.execute(
        statement.on_conflict_do_update(
            index_elements=keys,
            set_={c.name: statement.excluded[c.name] for c in policy_exposure.c if not c.primary_key},
            where=policy_exposure.c.revision < statement.excluded.revision,
        )
    )


async def put_claim(uow: UnitOfWork, row: ClaimRow) -> None:
    """Keep a claim as it stands, unless a later revision of it is there."""
    statement = upsert(known_claims).values(msgspec.structs.asdict(row))
    await uow.conn.execute(
        statement.on_conflict_do_update(
            index_elements=[known_claims.c.claim_id],
            set_={c.name: statement.excluded[c.name] for c in known_claims.c if not c.primary_key},
            where=known_claims.c.revision < statement.excluded.revision,
        )
    )


async def covers(uow: UnitOfWork, since: datetime, until: datetime) -> list[CoverRow]:
    """Return the terms that touch [since, until), by driver and time."""
    c = policy_exposure.c
    query = (
        select(policy_exposure)
        .where(c.term_end > since, c.term_start < until)
        .order_by(c.driver_id, c.term_start, c.policy_id)
    )
    return [
        CoverRow(**{**row, "in_force": _spans(row["in_force"])}) for row in (await uow.conn.execute(query)).mappings()
    ]


async def claims(uow: UnitOfWork, since: datetime, until: datetime, reported_before: datetime) -> list[ClaimRow]:
    """Return the claims to learn from that occurred in [since, until) and were reported before an instant."""
    c = known_claims.c
    query = (
        select(known_claims)
        .where(c.counts, c.occurred_at >= since, c.occurred_at < until, c.reported_at < reported_before)
        .order_by(c.driver_id, c.occurred_at, c.claim_id)
    )
    return [ClaimRow(**row) for row in (await uow.conn.execute(query)).mappings()]


def _spans(stored: Sequence[Sequence[str]]) -> tuple[Span, ...]:
    return tuple(Span(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in stored)
