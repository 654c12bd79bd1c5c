"""Every query of the product finds its rows through an index, and only in the partitions that may hold them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import UnitOfWork
from tests.integration.db import calls, calls_admin, plans

COUNT = "SELECT count("
WHOLE_BY_NATURE: dict[str, tuple[str, str]] = {
    "admin.queries.business_numbers": (
        "SELECT (SELECT count(",
        "counts and averages the book, every 15 s by one process",
    ),
    "drivers.repository.count_drivers": (COUNT, "how many there are: once, when the demo's fleet is made"),
    "audit.repository.count": (COUNT, "how many acts auditors see, of all or by what no index knows"),
    "drivers.repository_erasures.list_erasures": (COUNT, "how many requests staff see; there are few"),
    "identity.repository.has_admin": ("SELECT users.user_id", "looks for any administrator, once at a start"),
    "identity.repository.list_users": (COUNT, "how many accounts staff see"),
    "identity.repository.other_admin": ("SELECT users.user_id", "looks for any other administrator, when one goes"),
    "identity.repository.set_active": ("UPDATE users", "opens or closes the demo's accounts, once at a start"),
    "infra.bus.deadletters.count_dead_letters": (COUNT, "counts them all; there are few"),
    "infra.bus.deadletters.list_dead_letters": (COUNT, "counts them all; there are few"),
    "policies.repository_lists.count_by_status": ("SELECT policies.status, count(", "counts the book for staff"),
    "policies.repository_lists.page": (COUNT, "how many policies staff see"),
    "policies.repository_lists.premium_of_book": ("SELECT coalesce(sum(", "adds up the book for staff"),
    "claims.repository.list_claims": (COUNT, "how many claims staff see of all drivers"),
    "policies.repository_ledger.earn_due": (" WITH due", "earns a day of thousands of terms, by one process"),
    "policies.repository_statements.without_statement": (
        "SELECT ledger_terms.policy_id, max(",
        "looks over all that charge miles, by one process",
    ),
    "portal.queries.list_trips": (COUNT, "how many trips staff see of all drivers"),
    "trips.reads.list_trips": (COUNT, "how many trips of all drivers"),
    **calls_admin.WHOLE_BY_NATURE,
}
"""Functions that may read a whole table: how the statement begins that does, and why."""


WITHOUT_PLAN = {"risk.repository.copy_scores"}
"""Functions that only COPY."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    """A connection as the product makes them."""
    engine = create_engine(EngineOptions(url=url, pool_size=1))
    try:
        async with engine.connect() as conn:
            await conn.exec_driver_sql("SET session_replication_role = replica")  # foreign keys are others' business
            await conn.commit()
            yield conn
    finally:
        await engine.dispose()


async def _judge(conn: AsyncConnection, name: str, known: plans.Sizes) -> list[str]:
    """Run all calls of a function, each in a transaction that is rolled back; return the faults of their plans."""
    found = []
    allowed = WHOLE_BY_NATURE.get(name, ("-", ""))[0]
    for _, function, arguments in (call for call in calls.calls() if call[0] == name):
        with plans.recorded(conn) as statements:
            await function(UnitOfWork(conn), **arguments)
        assert statements or name in WITHOUT_PLAN, f"{name} ran no statement: give it arguments that make it"
        for statement in list(statements):
            if not str(statement).startswith(allowed):
                found += [f"{name}: {fault}\n    {statement}" for fault in await plans.faults(conn, statement, known)]
        await conn.rollback()
    return found


async def test_every_query_uses_an_index_and_leaves_partitions_out(filled_url: str) -> None:
    names = list(dict.fromkeys(name for name, _, _ in calls.calls()))
    found: list[str] = []
    async with connected(filled_url) as conn:
        known = await plans.sizes(conn)
        await conn.rollback()
        for name in names:
            found += await _judge(conn, name, known)
    assert not found, "\n".join(found)


def test_every_function_with_sql_is_called() -> None:
    assert not calls.unknown(), "\n".join(calls.unknown())
    assert len(calls.functions()) > 100


def test_the_exceptions_exist() -> None:
    assert WHOLE_BY_NATURE.keys() <= calls.functions().keys()
    assert calls.OF_FUNCTION.keys() <= calls.functions().keys()
