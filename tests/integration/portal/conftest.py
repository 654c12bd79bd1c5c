from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from auto_insurance.bootstrap import Container
from auto_insurance.kernel.clock import FrozenClock, use_clock
from tests.support.product import product
from tests.support.scoring import TODAY


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    """Noon of 15 June 2026."""
    at = FrozenClock(TODAY)
    with use_clock(at):
        yield at


@pytest.fixture
async def container(database_url: str, frozen: FrozenClock) -> AsyncIterator[Container]:
    """The whole product on a fresh database."""
    async with product(database_url) as built:
        yield built
