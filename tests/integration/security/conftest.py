from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from auto_insurance.bootstrap import Container
from tests.support.product import product


@pytest.fixture
async def container(database_url: str) -> AsyncIterator[Container]:
    """The whole product on a fresh database, not in demo mode."""
    async with product(database_url) as built:
        yield built
