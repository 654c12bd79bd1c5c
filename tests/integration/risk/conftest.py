from __future__ import annotations

from collections.abc import Iterator

import pytest

from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.clock import FrozenClock, use_clock
from tests.support.scoring import TODAY, World, make_world


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    """Noon of 15 June 2026, until told otherwise."""
    at = FrozenClock(TODAY)
    with use_clock(at):
        yield at


@pytest.fixture
def world(db: Database, frozen: FrozenClock) -> World:
    """The services over a fresh database."""
    return make_world(db)
