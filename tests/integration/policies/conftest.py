from __future__ import annotations

from collections.abc import Iterator

import pytest

from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.clock import FrozenClock, use_clock
from tests.support.policies import PolicyWorld, make_policy_world
from tests.support.scoring import TODAY, add_driver


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    """Noon UTC of 15 June 2026, until told otherwise."""
    at = FrozenClock(TODAY)
    with use_clock(at):
        yield at


@pytest.fixture
async def world(db: Database, frozen: FrozenClock) -> PolicyWorld:
    """Two drivers of 40 in California, with a car each, and no policy."""
    made = make_policy_world(db)
    async with db.begin() as uow:
        for driver_id in ("DRV001", "DRV002"):
            await add_driver(uow, driver_id)
    return made
