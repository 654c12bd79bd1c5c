"""The steps of one erasure: each can be taken up by another process, and none changes what an earlier one proved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol
from uuid import UUID

import msgspec

from auto_insurance.infra.db import holdings as holding_sql
from auto_insurance.infra.db.holdings import Fate, Holding, Subject
from auto_insurance.infra.db.partitions import Month
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.privacy import repository
from auto_insurance.privacy.cache_keys import CacheEraser
from auto_insurance.privacy.errors import ErasureIncomplete
from auto_insurance.privacy.repository import StepRow
from auto_insurance.telematics.service import ArchiveEraser

ROUNDS = 5
OnStep = Callable[[str, int], None]
"""Told of each step that is done: its name and how many rows or keys it changed."""


class Forgetter(Protocol):
    """Something beside the tables that remembers persons, such as a journal that is never changed."""

    async def forget(self, uow: UnitOfWork, kind: str, ident: str) -> int:
        """Make what is remembered of a ``driver`` or ``user`` unreadable; return how many entries it were."""
        ...


@dataclass(frozen=True, slots=True)
class Keepers:
    """Everything that holds data of persons."""

    holdings: Sequence[Holding]
    archive: ArchiveEraser
    cache: CacheEraser
    forgetters: Sequence[Forgetter] = ()


class Steps:
    """The steps of one request, each in transactions of its own."""

    def __init__(
        self, database: Database, keepers: Keepers, request_id: UUID, subject: Subject, on_step: OnStep
    ) -> None:
        self._database = database
        self._keepers = keepers
        self._request_id = request_id
        self._subject = subject
        self._on_step = on_step

    async def run(self) -> dict[str, StepRow]:
        """Do what is not done yet; return all steps. Raises ``ErasureIncomplete`` and what the archive raises."""
        async with self._database.read() as uow:
            done = {name for name, step in (await repository.steps_of(uow, self._request_id)).items() if step.done_at}
        for holding in self._keepers.holdings:
            if f"table:{holding.name}" not in done:
                await self._table(holding)
        # What is there is looked for anew, whatever was done: a month may have been archived meanwhile.
        for month, rows in (await self._keepers.archive.holds(self._subject.driver_id)).items():
            await self._month(month, rows)
        await self._rewritten_before()
        if "cache" not in done:
            await self._cache()
        for number, forgetter in enumerate(self._keepers.forgetters):
            if f"journal:{number}" not in done:
                await self._journal(f"journal:{number}", forgetter)
        await self._sweep()
        async with self._database.read() as uow:
            return await repository.steps_of(uow, self._request_id)

    async def _table(self, holding: Holding) -> None:
        name = f"table:{holding.name}"
        async with self._database.begin() as uow:
            before = await holding_sql.content(uow, holding, self._subject)
            await repository.begin_step(uow, self._request_id, name, msgspec.to_builtins(before))
        await self._batches(name, holding)
        async with self._database.begin() as uow:
            after = await holding_sql.content(uow, holding, self._subject)
            await repository.end_step(uow, self._request_id, name, msgspec.to_builtins(after))
        self._on_step(name, before.rows)

    async def _batches(self, name: str, holding: Holding) -> int:
        changed = 0
        while True:
            async with self._database.begin() as uow:
                rows = await holding_sql.erase(uow, holding, self._subject)
                await repository.add_changed(uow, self._request_id, name, rows)
            changed += rows
            if not rows:
                return changed

    async def _month(self, month: Month, rows: int) -> None:
        name = f"archive:{month}"
        await self._begin(name, {"driver_rows": rows})
        erased = await self._keepers.archive.erase(month, self._subject.driver_id)
        facts = {"driver_rows": 0} if erased is None else {"driver_rows": 0, **asdict(erased)}
        await self._end(name, facts, 0 if erased is None else erased.removed)

    async def _rewritten_before(self) -> None:
        """End the steps of months that an attempt wrote anew and died before it could note that."""
        async with self._database.read() as uow:
            known = await repository.steps_of(uow, self._request_id)
        for name, step in known.items():
            if name.startswith("archive:") and step.done_at is None:
                await self._end(name, {"driver_rows": 0}, step.before["driver_rows"])

    async def _cache(self) -> None:
        await self._begin("cache", {})
        await self._end("cache", {}, await self._keepers.cache.erase(self._subject.names))

    async def _journal(self, name: str, forgetter: Forgetter) -> None:
        await self._begin(name, {})
        async with self._database.begin() as uow:
            count = await forgetter.forget(uow, "driver", self._subject.driver_id)
            for user_id in self._subject.user_ids:
                count += await forgetter.forget(uow, "user", user_id)
        await self._end(name, {}, count)

    async def _sweep(self) -> None:
        """Take what came in from transactions that were under way when the doors were closed."""
        for _ in range(ROUNDS):
            changed = 0
            for holding in self._keepers.holdings:
                if holding.fate in {Fate.DELETED, Fate.PSEUDONYMISED}:
                    changed += await self._batches(f"table:{holding.name}", holding)
            if not changed:
                return
        raise ErasureIncomplete("Data of the driver come in while they are erased. Try again in a minute.")

    async def _begin(self, name: str, before: Mapping[str, Any]) -> None:
        async with self._database.begin() as uow:
            await repository.begin_step(uow, self._request_id, name, before)

    async def _end(self, name: str, after: Mapping[str, Any], changed: int) -> None:
        async with self._database.begin() as uow:
            await repository.add_changed(uow, self._request_id, name, changed)
            await repository.end_step(uow, self._request_id, name, after)
        self._on_step(name, changed)
