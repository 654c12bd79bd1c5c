"""Read-only SQL over the domains: whose ids belong to a driver, what stands in the way, who is idle."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, and_, any_, bindparam, exists, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from auto_insurance.claims.models import claims
from auto_insurance.drivers.models import drivers
from auto_insurance.identity.models import sessions, users
from auto_insurance.infra.db.holdings import Subject
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.models import policies
from auto_insurance.policies.models_billing import invoices
from auto_insurance.pricing.models import premiums
from auto_insurance.risk.models import risk_scores
from auto_insurance.trips.models import trips

MOST = 10_000
RUNNING = ("bound", "active", "lapsed")
UNSETTLED = ("reported", "open", "investigating", "approved", "paid", "reopened")


def _ids(driver_ids: Collection[str]) -> Any:
    return any_(bindparam("driver_ids", sorted(driver_ids), type_=ARRAY(Text)))


async def subject_of(uow: UnitOfWork, driver_id: str, device_ids: list[str]) -> Subject:
    """Return the ids that belong to a driver beside its devices."""
    user_ids, policy_ids, claim_ids = [
        [str(name) for name in (await uow.conn.execute(query.limit(MOST))).scalars()]
        for query in (
            select(users.c.user_id).where(users.c.driver_id == driver_id).order_by(users.c.user_id),
            select(policies.c.policy_id).where(policies.c.driver_id == driver_id).order_by(policies.c.policy_id),
            select(claims.c.claim_id).where(claims.c.driver_id == driver_id).order_by(claims.c.claim_id),
        )
    ]
    return Subject(
        driver_id=driver_id, device_ids=device_ids, user_ids=user_ids, policy_ids=policy_ids, claim_ids=claim_ids
    )


async def blockers(uow: UnitOfWork, driver_id: str) -> list[str]:
    """Return what must end before a driver can be erased."""
    found = []
    mine = policies.c.driver_id == driver_id
    query = select(policies.c.policy_id).where(mine, policies.c.status.in_(RUNNING)).limit(MOST)
    found += [f"Policy {name} is in force or may come back." for name in (await uow.conn.execute(query)).scalars()]
    query = select(claims.c.claim_id).where(claims.c.driver_id == driver_id, claims.c.status.in_(UNSETTLED))
    found += [f"Claim {name} is not settled." for name in (await uow.conn.execute(query.limit(MOST))).scalars()]
    owed = select(invoices.c.policy_id, func.sum(invoices.c.open_amount)).where(
        invoices.c.policy_id.in_(select(policies.c.policy_id).where(mine)), invoices.c.open_amount > 0
    )
    rows = await uow.conn.execute(owed.group_by(invoices.c.policy_id).limit(MOST))
    found += [f"Policy {policy} has {amount} open on its invoices." for policy, amount in rows]
    staff = select(users.c.user_id).where(users.c.driver_id == driver_id, users.c.roles != ["driver"])
    accounts = (await uow.conn.execute(staff.limit(MOST))).scalars()
    found += [f"Account {user} is staff too; unlink it from the driver first." for user in accounts]
    return found


async def old_scores(uow: UnitOfWork, driver_ids: Collection[str], before: datetime, limit: int) -> list[UUID]:
    """Return up to ``limit`` scores of these drivers made before an instant, neither their newest nor priced."""
    newer = risk_scores.alias("newer")
    c = risk_scores.c
    query = (
        select(c.score_id)
        .where(
            c.driver_id == _ids(driver_ids),
            c.calculated_at < before,
            exists().where(newer.c.driver_id == c.driver_id, newer.c.calculated_at > c.calculated_at),
            ~exists().where(premiums.c.driver_id == c.driver_id, premiums.c.score_id == c.score_id),
        )
        .limit(limit)
    )
    return list((await uow.conn.execute(query)).scalars())


async def idle_drivers(uow: UnitOfWork, driver_ids: Collection[str], since: datetime) -> list[str]:
    """Return those of the drivers without policy who have neither driven nor signed in since, in order."""
    d = drivers.c
    query = (
        select(d.driver_id)
        .where(
            d.driver_id == _ids(driver_ids),
            d.status == "active",
            d.enrolled_at < since,
            ~exists().where(policies.c.driver_id == d.driver_id, policies.c.status.in_(RUNNING)),
            ~exists().where(trips.c.driver_id == d.driver_id, trips.c.start_time >= since),
            ~exists().where(
                and_(users.c.driver_id == d.driver_id, sessions.c.user_id == users.c.user_id),
                sessions.c.created_at >= since,
            ),
        )
        .order_by(d.driver_id)
    )
    return list((await uow.conn.execute(query)).scalars())
