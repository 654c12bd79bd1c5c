"""Walks the chain in the database: all of it, or a bounded stretch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from auto_insurance.audit import repository, repository_closings
from auto_insurance.audit.chain import START, Anchor, Closing, Opened, Row, Verifier
from auto_insurance.infra.db.uow import Database, UnitOfWork

PAGE = 2_000
"""Rows per statement."""
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at, and what was found."""

    verifier: Verifier
    complete: bool
    """Whether the end of the chain was reached."""
    waiting: int
    """Rows that are not in the chain yet."""

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong with what was looked at."""
        return self.verifier.found == 0


async def check_stretch(uow: UnitOfWork, after: int | None, limit: int) -> Checked:
    """Verify at most ``limit`` rows that follow a number, by default the last anchor's."""
    last = await repository.last_anchor(uow)
    begin = (last[0].number if last else 0) if after is None else after
    # Where that row is gone, from the last one before it: then the gap shows.
    verifier = Verifier(await repository.place_at(uow, begin) or START)
    complete = False
    left = limit
    while left > 0 and not complete:
        size = min(PAGE, left)
        complete = await _step(uow, verifier, size, {})
        left -= size
    return Checked(verifier, complete, await repository.count_waiting(uow))


async def check_all(
    database: Database, known: Mapping[int, bytes] | None = None, *, progress: Progress | None = None
) -> Checked:
    """Verify the whole chain against its anchors and those in ``known``, in short transactions."""
    async with database.read() as uow:
        closings = await repository_closings.closings(uow)
        ends = {one.last_number for one in closings}
        anchors = [one for number in ends for one in await repository.anchors_after(uow, number, 1)]
    last = closings[-1] if closings else None
    verifier = Verifier(Anchor(last.last_number, last.hash) if last else START)
    verifier.closed(closings, {**{one.number: one.hash for one in anchors}, **(known or {})})
    complete = False
    while not complete:
        async with database.read() as uow:
            complete = await _step(uow, verifier, PAGE, known or {})
        if progress is not None:
            progress(verifier.head.number)
    async with database.read() as uow:
        return Checked(verifier, True, await repository.count_waiting(uow))


async def _step(uow: UnitOfWork, verifier: Verifier, size: int, known: Mapping[int, bytes]) -> bool:
    """Verify the next rows; return whether they were the last."""
    before = verifier.head
    # Anchors first: rows that are chained meanwhile can't have one among these.
    anchors = {one.number: one.hash for one in await repository.anchors_after(uow, before.number, size + 1)}
    verifier.recheck({**anchors, **known})
    rows = await repository.stretch(uow, before.number, size)
    for row, opened in rows:
        verifier.take(row, opened)
    if len(rows) < size:
        verifier.end()
        return True
    return False


async def rows_after(database: Database, after: int) -> AsyncIterator[tuple[Row, dict[bytes, Opened]]]:
    """Yield the chained rows that follow a number, in short transactions."""
    while True:
        async with database.read() as uow:
            rows = await repository.stretch(uow, after, PAGE)
        for row, opened in rows:
            yield row, opened
        if len(rows) < PAGE:
            return
        after = rows[-1][0].number


async def place(database: Database, number: int) -> Anchor:
    """Return the row with a number, or the last one before it; the chain's start if there is none."""
    async with database.read() as uow:
        return await repository.place_at(uow, number) or START


async def closings_at(database: Database, number: int) -> list[Closing]:
    """Return the records of what left, if the rows after a number are all that is kept; else none."""
    async with database.read() as uow:
        found = await repository_closings.closings(uow)
    return found if found and found[-1].last_number == number else []
