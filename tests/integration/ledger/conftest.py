from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.clock import FrozenClock, use_clock
from tests.support.ledger import Books


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    """Noon of 1 January 2026, until told otherwise."""
    at = FrozenClock(datetime(2026, 1, 1, 12, tzinfo=UTC))
    with use_clock(at):
        yield at


@pytest.fixture
def books(db: Database, frozen: FrozenClock) -> Books:
    """A ledger over a fresh database."""
    return Books(db)
