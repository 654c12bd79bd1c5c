"""Lists as files: read in steps by key, each a transaction of its own, so that a slow reader holds no connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from auto_insurance.admin.sheets import lines
from auto_insurance.infra.db.uow import Database, UnitOfWork

M = TypeVar("M", bound=BaseModel)
STEP = 1000
MAX_ROWS = 50_000
"""Rows of a file at most; what comes after is left out."""


@dataclass(frozen=True, slots=True)
class Export(Generic[M]):
    """A list to write: its form, how to read on from past a key (None: from the beginning), the key of a row."""

    form: type[M]
    read: Callable[[UnitOfWork, Any, int], Awaitable[Sequence[Any]]]
    key: Callable[[Any], Any]
    of: Callable[[Any], M]


class Exports:
    """Writes lists as comma-separated values."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, export: Export[Any], max_rows: int = MAX_ROWS) -> AsyncIterator[str]:
        """Read the first rows and return the file's parts: what is wrong is an error before anything is sent."""
        first = await self._step(export, None, min(STEP, max_rows))
        return self._parts(export, first, max_rows)

    async def _parts(self, export: Export[Any], rows: Sequence[Any], max_rows: int) -> AsyncIterator[str]:
        columns = list(export.form.model_fields)
        sent, header, asked = 0, True, min(STEP, max_rows)
        while rows or header:
            yield lines(columns, (export.of(row).model_dump() for row in rows), header=header)
            sent, header, full = sent + len(rows), False, len(rows) == asked
            asked = min(STEP, max_rows - sent)
            if not full or asked <= 0:
                return
            rows = await self._step(export, export.key(rows[-1]), asked)

    async def _step(self, export: Export[Any], after: Any, limit: int) -> Sequence[Any]:
        async with self._database.read() as uow:
            return await export.read(uow, after, limit)
