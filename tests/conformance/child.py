"""A consumer in a process of its own, to be killed: ``python -m tests.conformance.child``."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from auto_insurance.infra.bus.runner import Runner, RunnerOptions
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import Database
from tests.conformance.effects import Effects
from tests.conformance.engines import TOPIC, engine_at


async def main(engine: str, address: str, database_url: str, sleep_s: str, flag: str) -> None:
    """Consume until SIGTERM."""
    options = EngineOptions(url=database_url, pool_size=2, idle_in_transaction_timeout_ms=2_000)
    db = Database(create_engine(options))
    log = engine_at(engine, address).open()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    handler = Effects([TOPIC], sleep_s=float(sleep_s), flag=Path(flag) if flag else None)
    await Runner(db, log, handler, RunnerOptions(max_records=20, poll_timeout_s=0.2)).run(stop)
    await log.close()
    await db.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
