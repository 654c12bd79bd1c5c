from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from auto_insurance.infra.db.uow import Database
from tests.support.people import People, make_people


@pytest.fixture
async def people(db: Database) -> AsyncIterator[People]:
    made = make_people(db)
    await made.seed()
    yield made
    made.passwords.close()
