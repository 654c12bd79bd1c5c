"""A writer that remembers how far devices are stored stores what one without memory would, whoever else writes."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest
from asyncpg import DeadlockDetectedError
from sqlalchemy import text

from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.telematics import repository_store
from auto_insurance.telematics.columns import of_samples
from auto_insurance.telematics.frontier import Frontier
from auto_insurance.telematics.schemas import Sample, key_of
from auto_insurance.telematics.store import EventWriter, PartitionGone
from tests.integration.telematics.test_store import BASE, load, put, sample


async def stored(db: Database, device: str = "dev-1") -> list[Sample]:
    async with db.read() as uow:
        return await load(uow, device, 0, BASE * 2)


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What was asked of the database, and about how many."""
    asked: list[tuple[str, int]] = []
    for name in ("newest_stored", "are_stored", "insert_missing"):
        original = getattr(repository_store, name)

        async def counted(uow: UnitOfWork, *args: object, name: str = name, original: object = original) -> object:
            asked.append((name, len(args[-1])))  # type: ignore[arg-type]
            return await original(uow, *args)  # type: ignore[operator]

        monkeypatch.setattr(repository_store, name, counted)
    return asked


async def test_newer_events_cost_no_look(db: Database, lookups: list[tuple[str, int]]) -> None:
    writer = EventWriter()
    for first in (0, 10, 20):
        async with db.begin() as uow:
            assert len(await put(uow, [sample(n) for n in range(first, first + 10)], writer)) == 10
        writer.committed()
    assert lookups == [("newest_stored", 1)]
    async with db.begin() as uow:
        late = [sample(25), sample(5), sample(31), msgspec.structs.replace(sample(25), event_id="other")]
        assert await put(uow, late, writer) == [late[2], late[3]]
    assert lookups[1:] == [("are_stored", 3)]


async def test_it_tells_how_far_each_device_was_stored(db: Database) -> None:
    writer = EventWriter()
    for rows, expected in (
        ([sample(1), sample(3), sample(2, device="dev-2")], {"dev-1": -1, "dev-2": -1}),
        ([sample(2), sample(7, device="dev-2")], {"dev-1": sample(3).t_us, "dev-2": sample(2).t_us}),
        ([sample(2), sample(4), sample(0, device="dev-3")], {"dev-1": sample(3).t_us, "dev-3": -1}),
    ):
        async with db.begin() as uow:
            events = of_samples(rows)
            found = await writer.store(uow, events)
        writer.committed()
        assert dict(zip(events.devices, found.newest_before.tolist(), strict=True)) == expected


async def test_what_a_lost_transaction_taught_is_forgotten(db: Database) -> None:
    writer = EventWriter()
    for lost in (True, False, True, False):
        rows = [sample(n) for n in range(3)] + [sample(0, device="dev-2")]
        try:
            async with db.begin() as uow:
                fresh = await put(uow, rows, writer)
                if lost:
                    raise ConnectionError
        except ConnectionError:
            writer.rolled_back()
        else:
            writer.committed()
    assert fresh == []
    assert len(await stored(db)) == 3


async def test_somebody_elses_rows_are_copies_too(db: Database, lookups: list[tuple[str, int]]) -> None:
    mine, other = EventWriter(), EventWriter()
    async with db.begin() as uow:
        await put(uow, [sample(0)], mine)
    mine.committed()
    async with db.begin() as uow:
        await put(uow, [sample(1), sample(2)], other)
    async with db.begin() as uow:
        assert await put(uow, [sample(2), sample(3), sample(1), sample(3)], mine) == [sample(3)]
        assert await put(uow, [sample(4), sample(3)], mine) == [sample(4)]
    assert ("insert_missing", 4) in lookups
    assert [row.event_id for row in await stored(db)] == ["e0", "e1", "e2", "e3", "e4"]


async def test_writers_with_memories_store_each_event_once(db: Database) -> None:
    """Each event is new to exactly one batch that commits, in whatever order they run and fail."""
    rng = random.Random(7)
    rows = [sample(n, device=f"dev-{n % 3}") for n in range(120)]
    writers = [EventWriter(capacity=2), EventWriter()]
    new: list[Sample] = []

    async def work(writer: EventWriter, seed: int) -> None:
        own = random.Random(seed)
        for _ in range(12):
            batch = [own.choice(rows) for _ in range(own.randint(1, 40))]
            fails = own.random() < 0.25
            try:
                async with db.begin() as uow:
                    fresh = await put(uow, batch, writer)
                    if fails:
                        raise ConnectionError
            except (ConnectionError, DeadlockDetectedError):
                writer.rolled_back()
            else:
                writer.committed()
                new.extend(fresh)
            if own.random() < 0.1:
                writer.clear()

    await asyncio.gather(*(work(writer, rng.randrange(100)) for writer in writers))
    async with db.begin() as uow:
        new += await put(uow, rows, writers[0])
    assert sorted(new, key=key_of) == sorted(rows, key=key_of)
    assert [row for d in range(3) for row in await stored(db, f"dev-{d}")] == sorted(rows, key=key_of)


async def test_a_partition_that_was_removed_is_made_again(db: Database) -> None:
    writer = EventWriter()
    async with db.begin() as uow:
        await put(uow, [sample(0)], writer)
    writer.committed()
    async with db.begin() as uow:
        table = await uow.conn.scalar(text("SELECT tableoid::regclass::text FROM telematics_events"))
        await uow.conn.execute(text(f"DROP TABLE {table}"))
    with pytest.raises(PartitionGone):
        async with db.begin() as uow:
            await put(uow, [sample(1)], writer)
    writer.rolled_back()
    async with db.begin() as uow:
        assert await put(uow, [sample(1)], writer) == [sample(1)]


async def test_memory_is_bounded(db: Database) -> None:
    frontier = Frontier(capacity=2)
    async with db.begin() as uow:
        await frontier.load(uow, of_samples([sample(0, device=d) for d in "ab"]))
        assert len(frontier) == 2
        found = await frontier.load(uow, of_samples([sample(0, device=d) for d in "bc"]))
        assert (len(frontier), found.tolist()) == (2, [-1, -1])
