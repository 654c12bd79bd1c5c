"""How many connections the processes may open, and whether PostgreSQL has them."""

from __future__ import annotations

import asyncio

import asyncpg
from sqlalchemy import exc as sa

from auto_insurance.entrypoints import pool
from auto_insurance.entrypoints.cli.checks import Finding, Patient, Verdict
from auto_insurance.infra.bus.postgres import PostgresLogOptions
from auto_insurance.infra.config import Settings
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.inspection import Connections, connections
from auto_insurance.infra.db.uow import Database

LISTENERS = 1
"""Beside its pool, the log of a process holds one connection that waits for news."""


def planned(settings: Settings) -> dict[str, int]:
    """Return the most connections of one process of each kind; the worker's is that of all its consumers."""
    db, consumers = settings.database, settings.kafka.num_consumers
    log = PostgresLogOptions().pool_size + LISTENERS if settings.event_log == "postgres" else 0
    one = db.pool_size + db.max_overflow + log
    worker = one
    if consumers > 1:
        small = min(db.pool_size, pool.POOL_SIZE) + min(db.max_overflow, pool.POOL_OVERFLOW)
        worker = consumers * (small + log)
    return {"api": one, "worker": worker, "scheduler": one}


def look(url: str) -> Connections:
    """Ask the server who is connected. Raises ``OSError`` with a plain message."""

    async def ask() -> Connections:
        options = EngineOptions(url, pool_size=1, max_overflow=0, application_name="auto-insurance-doctor")
        database = Database(create_engine(options))
        try:
            async with database.read() as uow:
                return await connections(uow)
        finally:
            await database.dispose()

    try:
        return asyncio.run(ask())
    except (sa.SQLAlchemyError, asyncpg.PostgresError, TimeoutError) as error:
        raise OSError(f"the database gave no answer ({type(error).__name__})") from error


def check(patient: Patient) -> Finding:
    """Has PostgreSQL enough connections for one of each process, all pools full?"""
    name = "Connections"
    given = patient.settings.database.url
    url = given.get_secret_value() if given else patient.running.database_url if patient.running else None
    plan = planned(patient.settings)
    need = sum(plan.values())
    parts = ", ".join(f"{role} {number}" for role, number in plan.items())
    if url is None:
        return Finding(name, Verdict.OK, f"up to {need} ({parts})")
    try:
        seen = look(url)
    except (OSError, ValueError):
        # The check of the database says why and what to do.
        return Finding(name, Verdict.WARN, f"up to {need} ({parts}); what the server allows is not to be seen")
    found = f"up to {need} ({parts}) of {seen.limit - seen.foreign} that are free for us; {seen.used} open now"
    if need > seen.limit - seen.foreign:
        remedy = "Raise PostgreSQL's max_connections, or lower DB_POOL_SIZE and DB_MAX_OVERFLOW."
        return Finding(name, Verdict.WARN, found, remedy)
    return Finding(name, Verdict.OK, found)
