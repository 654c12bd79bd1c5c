"""What a route may ask for: a transaction, a read-only transaction, a service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends
from fastapi.requests import HTTPConnection

from auto_insurance.infra.db.uow import Database, UnitOfWork

S = TypeVar("S")


async def get_uow(conn: HTTPConnection) -> AsyncIterator[UnitOfWork]:
    """Give one read-write transaction per request; any error of the route rolls it back."""
    database: Database = conn.app.state.database
    async with database.begin() as uow:
        yield uow


async def get_read_uow(conn: HTTPConnection) -> AsyncIterator[UnitOfWork]:
    """Give one read-only transaction per request."""
    database: Database = conn.app.state.database
    async with database.read() as uow:
        yield uow


# Scope "function": the transaction ends before the answer is sent, so that nobody hears of what did not commit.
Tx = Annotated[UnitOfWork, Depends(get_uow, scope="function")]
ReadTx = Annotated[UnitOfWork, Depends(get_read_uow, scope="function")]


def service(cls: type[S]) -> Any:
    """Return a dependency that looks up the composed instance of ``cls``.

    Use: ``svc: Annotated[DriverService, service(DriverService)]``.
    """

    # Async though nothing is waited for: what is not goes to a thread, which takes longer than most requests.
    async def lookup(conn: HTTPConnection) -> S:
        services: Mapping[type, object] = conn.app.state.services
        return cast("S", services[cls])

    return Depends(lookup)
