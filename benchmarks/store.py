"""Claim: a worker stores events, with trips and offsets, at a good share of what a bare COPY of the rows reaches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import asyncpg
import msgspec

from auto_insurance import bootstrap
from auto_insurance.bootstrap import Container
from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from auto_insurance.infra.bus import offsets
from auto_insurance.infra.bus.protocol import NewRecord
from auto_insurance.infra.bus.runner import Runner
from auto_insurance.telematics.store import COLUMNS
from benchmarks.common import (
    Event,
    Figure,
    Server,
    figure,
    migrate_template,
    register,
    report,
    server,
    settings,
    uploads,
)

DEVICES = 100
PER_UPLOAD = 60
UPLOADS = 300
RUNS = 3
COPY_ROWS = 3000
TIMEOUT_S = 40.0


async def _stored_records(container: Container, group: str) -> int:
    async with container.database.read() as uow:
        return sum((await offsets.stored(uow, group)).values())


async def work(container: Container, batches: Sequence[Sequence[Event]]) -> float:
    """Put uploads on the log, let one consumer store them, and return its events per second once it runs."""
    await bootstrap.prepare_log(container, asyncio.Event())
    encode = msgspec.json.encode
    records = [NewRecord(TELEMATICS_EVENTS, str(batch[0]["device_id"]), encode(batch)) for batch in batches]
    await container.log.append(records)
    handler = bootstrap.telemetry_handler(container)
    stop = asyncio.Event()
    running = asyncio.create_task(Runner(container.database, container.log, handler).run(stop))
    started, done, first = 0.0, 0, 0
    async with asyncio.timeout(TIMEOUT_S):
        while done < len(records):
            await asyncio.sleep(0.02)
            done = await _stored_records(container, handler.group)
            if done and not started:
                # Joining the group is not what is measured: the clock starts at the first commit.
                started, first = time.perf_counter(), done
    took = time.perf_counter() - started
    stop.set()
    await running
    return (done - first) * PER_UPLOAD / took


async def copy(rows: Sequence[asyncpg.Record], url: str) -> float:
    """Copy rows into the same table of a fresh database, in transactions of ``COPY_ROWS``; return rows per second."""
    conn = await asyncpg.connect(url)
    values = [tuple(row) for row in rows]
    started = time.perf_counter()
    for at in range(0, len(values), COPY_ROWS):
        await conn.copy_records_to_table("telematics_events", columns=COLUMNS, records=values[at : at + COPY_ROWS])
    took = time.perf_counter() - started
    await conn.close()
    return len(values) / took


async def measure(databases: Server) -> Figure:
    """Run both in turn."""
    devices = [f"BENCH-{number:03d}" for number in range(DEVICES)]
    batches = uploads(devices, PER_UPLOAD, UPLOADS)
    stored, copied = [], []
    for _ in range(RUNS):
        url, bare = await databases.database(), await databases.database()
        container = bootstrap.build(settings(url), "worker")
        await register(container, devices)
        stored.append(await work(container, batches))
        await container.close()
        conn = await asyncpg.connect(url)
        names = ", ".join(COLUMNS)
        rows = await conn.fetch(f"SELECT {names} FROM telematics_events ORDER BY received_at, device_id, timestamp")
        await conn.close()
        if len(rows) != len(batches) * PER_UPLOAD:
            raise SystemExit(f"{len(rows)} rows are stored of {len(batches) * PER_UPLOAD}: the figure would be false")
        copied.append(await copy(rows, bare))
    return figure("store, one consumer", stored, copied, unit="events/s", limit_name="COPY of the same rows")


def main() -> None:
    """Measure and report."""
    with server() as postgres:
        databases = Server(postgres)
        asyncio.run(databases.prepare())
        migrate_template(postgres)
        report("store", [asyncio.run(measure(databases))])


if __name__ == "__main__":
    main()
