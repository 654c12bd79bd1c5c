"""Runs the statements of the query modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auto_insurance.infra.db.uow import UnitOfWork

Rows = Sequence[Any]
"""Rows whose columns are attributes."""


async def fetch(uow: UnitOfWork, query: Any, params: Mapping[str, Any] | None = None) -> Rows:
    """Return all rows of a statement."""
    found: Rows = (await uow.conn.execute(query, params)).all()
    return found


async def fetch_one(uow: UnitOfWork, query: Any, params: Mapping[str, Any] | None = None) -> Any:
    """Return the row of a statement that gives one, None if it gives none."""
    return (await uow.conn.execute(query, params)).one_or_none()
