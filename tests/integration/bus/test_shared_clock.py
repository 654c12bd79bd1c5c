"""The time that consumers agree on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from auto_insurance.infra.bus.shared_clock import SharedClock
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel import clock


@pytest.mark.parametrize("skew_s", [-600, 0, 600])
async def test_a_clock_that_is_wrong_is_put_right_by_the_database(
    db: Database, monkeypatch: pytest.MonkeyPatch, skew_s: int
) -> None:
    honest = clock.now
    monkeypatch.setattr(clock, "now", lambda: honest() + timedelta(seconds=skew_s))
    shared = SharedClock()
    async with db.begin() as uow:
        await shared.compare(uow)
        ours, theirs = shared.now(), (await uow.conn.execute(select(func.clock_timestamp()))).scalar_one()
    assert abs(theirs - ours) < timedelta(seconds=2)
