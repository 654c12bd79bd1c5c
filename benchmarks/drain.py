"""A worker empties a backlog while we look on: how fast, with whose processor time, and whether all is right."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from benchmarks.backlog import Book
from benchmarks.lab import GROUP, Child, Lab
from benchmarks.meters import Meter, Reading, split
from benchmarks.results import Wrong

LOOK_S = 0.05
FIRST_COMMIT_S = 150.0
STALL_S = 90.0
LEAST_COMMITS, LEAST_S = 3, 0.4
_OFFSETS = "SELECT partition_no, next_offset FROM consumer_offsets WHERE group_name = $1 AND topic = $2"


@dataclass(slots=True)
class Drained:
    """One run. ``seconds`` from the first commit to the last that was seen, ``events`` stored between the two."""

    events: int
    seconds: float
    cores: dict[str, float]
    stored: int
    whole: bool
    trips: int
    memory: list[tuple[float, int]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Distinct events stored per second."""
        return self.events / self.seconds


@dataclass(slots=True)
class _Look:
    at: float
    events: int
    reading: Reading


def drain(
    lab: Lab,
    engine: str,
    database: str,
    book: Book,
    *,
    within_s: float,
    consumers: int = 1,
    settle_s: float = 0.0,
    before: int = 0,
    profile: Path | None = None,
    on_look: Callable[[Meter, float], None] | None = None,
) -> Drained:
    """Start a worker on a backlog and watch it for at most ``within_s`` after its first commit; then check and stop.

    ``before``: events that the table held already. ``settle_s``: seconds after the first commit that do not count, in
    which all consumers join. Raises ``Wrong`` if what is stored is not what the offsets stand for, if there are dead
    letters, or if it went too quickly to be measured.
    """
    offset = lab.value(
        database, "SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets WHERE group_name = $1", GROUP
    )
    worker = lab.start("worker", engine, database, "--consumers", str(consumers), profile=profile)
    meter = Meter({"worker": worker.pid, "postgresql": lab.postgres.pid, **lab.broker_pid(engine)})
    try:
        looks = lab.on(database, lambda conn: _watch(conn, worker, meter, book, offset, within_s, on_look))
    finally:
        worker.stop()
    looks = [look for look in looks if look.at - looks[0].at >= settle_s]
    if len(looks) < LEAST_COMMITS or looks[-1].at - looks[0].at < LEAST_S:
        raise Wrong(f"too few commits to measure: {len(looks)} seen; take more events (--scale)\n{worker.said}")
    offsets, stored, trips = _check(lab, database, book, before, worker)
    return Drained(
        events=looks[-1].events - looks[0].events,
        seconds=looks[-1].at - looks[0].at,
        cores=split(looks[0].reading, looks[-1].reading),
        stored=stored,
        whole=offsets == book.ends(),
        trips=trips,
    )


async def _watch(
    conn: asyncpg.Connection,
    worker: Child,
    meter: Meter,
    book: Book,
    offset: int,
    within_s: float,
    on_look: Callable[[Meter, float], None] | None,
) -> list[_Look]:
    """Note each move of the offsets. Raises ``Wrong`` if the worker ends, never begins or gets stuck."""
    query = await conn.prepare(_OFFSETS)
    looks: list[_Look] = []
    seen, moved = offset, time.perf_counter()
    while True:
        worker.check()
        offsets = {row["partition_no"]: row["next_offset"] for row in await query.fetch(GROUP, TELEMATICS_EVENTS)}
        now, total = time.perf_counter(), sum(offsets.values())
        if on_look is not None and looks:
            on_look(meter, now - looks[0].at)
        if total > seen:
            seen, moved = total, now
            looks.append(_Look(now, book.distinct_until(offsets), meter.read()))
        over = now - looks[0].at - within_s if looks else 0.0
        if total >= book.records or (over > 0 and (len(looks) > LEAST_COMMITS or over > 5 * within_s)):
            return looks
        if now - moved > (STALL_S if looks else FIRST_COMMIT_S):
            raise Wrong(f"no commit within {now - moved:.0f} s, {total} of {book.records} records:\n{worker.said}")
        await asyncio.sleep(LOOK_S)


def _check(lab: Lab, database: str, book: Book, before: int, worker: Child) -> tuple[dict[int, int], int, int]:
    """Return offsets, stored events and trips. Raises ``Wrong`` when the table is not what the offsets stand for."""

    async def ask(conn: asyncpg.Connection) -> tuple[dict[int, int], int, int, int]:
        rows = await conn.fetch(_OFFSETS, GROUP, TELEMATICS_EVENTS)
        offsets = {row["partition_no"]: row["next_offset"] for row in rows if row["next_offset"]}
        stored = await conn.fetchval("SELECT count(*) FROM telematics_events")
        dead = await conn.fetchval("SELECT count(*) FROM dead_letters")
        return offsets, int(stored), int(dead), int(await conn.fetchval("SELECT count(*) FROM trips"))

    offsets, stored, dead, trips = lab.on(database, ask)
    expected = before + book.distinct_until(offsets)
    if dead:
        reason = lab.on(
            database, lambda conn: conn.fetchval("SELECT reason || ': ' || detail FROM dead_letters LIMIT 1")
        )
        raise Wrong(f"{dead} dead letters, the first {reason}\n{worker.said}")
    if stored != expected:
        raise Wrong(f"{stored} events are stored, {expected} distinct ones lie before the offsets: there is no figure")
    return offsets, stored, trips
