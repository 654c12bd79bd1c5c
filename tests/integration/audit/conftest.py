from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.acts import Office, make_office
from tests.support.product import product


@pytest.fixture
async def office(database_url: str) -> AsyncIterator[Office]:
    """The whole product on a fresh database, with a member of staff who has signed in."""
    async with product(database_url) as container:
        yield await make_office(container)
