"""Carries an erasure out and kills itself on the way: ``python -m tests.integration.privacy.doomed``.

The product holds no such hook: this module puts itself around what an erasure goes through.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

from auto_insurance import bootstrap
from auto_insurance.infra.db import holdings
from auto_insurance.privacy import repository
from auto_insurance.privacy.cache_keys import CacheEraser
from auto_insurance.privacy.service import ErasureService
from auto_insurance.telematics import repository_archives
from auto_insurance.telematics.service import ArchiveEraser
from tests.support.product import settings_for

POINTS: dict[str, tuple[object, str, str, bool]] = {
    "with trips deleted and not committed": (holdings, "erase", "trips", False),
    "between two tables": (repository, "begin_step", "table:drivers", True),
    "with a month's files written and not named": (repository_archives, "save_state", "", True),
    "with a month rewritten and its step not noted": (ArchiveEraser, "erase", "", False),
    "with keys gone and their step not noted": (CacheEraser, "erase", "", False),
    "with the proof written and not committed": (repository, "add_proof", "", False),
}
"""Where it happens: whose function, for which holding or step, and whether before it or after."""


def arm(point: str) -> None:
    """Put a kill around a function."""
    owner, name, what, before = POINTS[point]
    real: Callable[..., Any] = getattr(owner, name)

    async def deadly(*args: Any, **more: Any) -> Any:
        meant = not what or what in {
            getattr(one, "name", one) for one in args if isinstance(one, str | holdings.Holding)
        }
        if meant and before:
            os.kill(os.getpid(), signal.SIGKILL)
        done = await real(*args, **more)
        if meant:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(owner, name, deadly)


async def main(request_id: UUID, database_url: str, redis_url: str, archive: str) -> None:
    """Carry it out, as the scheduler does."""
    settings = settings_for(database_url, REDIS_URL=redis_url, ARCHIVE_DIR=archive)
    container = bootstrap.build(settings, "scheduler")
    await container.get(ErasureService).run(request_id)
    await container.close()


if __name__ == "__main__":
    arm(sys.argv[1])
    asyncio.run(main(UUID(sys.argv[2]), *sys.argv[3:6]))
