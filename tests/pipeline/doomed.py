"""A worker that sends itself a signal at a named point of its nth batch: ``python -m tests.pipeline.doomed``.

The product holds no such hook: this module puts itself around the driver's COPY and around the unit of work.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from auto_insurance.entrypoints.cli.main import main
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock

POINTS = ("before COPY", "after COPY", "before commit", "after commit")
"""Where it may happen; ``skewed clock`` instead shifts this worker's clock by that many seconds."""
_COPIES = ("copy_to_table", "copy_records_to_table")
Method = Callable[..., Awaitable[Any]]


class Doom:
    """Counts batches (transactions with a COPY) and strikes once."""

    def __init__(self, point: str, nth: int, number: int) -> None:
        self.point, self.nth, self.number = point, nth, number
        self.batches = 0
        self.within = False

    def strike(self, point: str) -> None:
        """Do it, if this is the point."""
        if point == self.point and self.batches == self.nth:
            self.nth = -1
            os.kill(os.getpid(), self.number)

    def arm(self) -> None:
        """Wrap what a batch goes through."""
        for name in _COPIES:
            setattr(asyncpg.Connection, name, self._copying(getattr(asyncpg.Connection, name)))
        flush, effects = UnitOfWork.flush_events, UnitOfWork.run_effects

        async def flush_events(uow: UnitOfWork) -> None:
            await flush(uow)
            if self.within:
                self.strike("before commit")

        async def run_effects(uow: UnitOfWork) -> None:
            if self.within:
                self.within = False
                self.strike("after commit")
            await effects(uow)

        setattr(UnitOfWork, flush.__name__, flush_events)
        setattr(UnitOfWork, effects.__name__, run_effects)

    def _copying(self, copy: Method) -> Method:
        async def wrapped(*args: Any, **options: Any) -> Any:
            if not self.within:
                self.within = True
                self.batches += 1
            self.strike("before COPY")
            done = await copy(*args, **options)
            self.strike("after COPY")
            return done

        return wrapped


def skew(seconds: float) -> None:
    """Let this process's clock run ahead, or behind if negative."""
    honest = clock.now

    def now() -> datetime:
        return honest() + timedelta(seconds=seconds)

    clock.now = now


if __name__ == "__main__":
    point, nth, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if point == "skewed clock":
        skew(nth)
    else:
        Doom(point, nth, number).arm()
    sys.argv = ["auto-insurance", "worker"]
    main()
