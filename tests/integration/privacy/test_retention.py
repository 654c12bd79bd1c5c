"""What was kept for long enough goes, in batches; what is needed stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from auto_insurance.bootstrap import Container, metadata
from auto_insurance.drivers.models import drivers, erasure_requests
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.privacy.service import RetentionOptions, RetentionService
from auto_insurance.risk.models import risk_scores
from auto_insurance.risk.service import RiskService
from auto_insurance.trips.models import trip_events, trips
from tests.integration.privacy.conftest import LAT, LON, OLD_MONTH
from tests.support.scoring import TODAY, add_driver, add_trip

OLD = TODAY - timedelta(days=365 * 4)
OPTIONS = RetentionOptions(places_months=0, scores_months=0, idle_months=0, archive_months=0)


def service(container: Container, **wanted: int) -> RetentionService:
    found = container.get(RetentionService)
    found._options = replace(OPTIONS, **wanted)
    return found


async def drove(container: Container, driver_id: str, *at: object) -> None:
    places = {"start_latitude": LAT, "start_longitude": LON, "end_latitude": None, "end_longitude": None}
    async with container.database.begin() as uow:
        await add_driver(uow, driver_id)
        for start in at:
            made = await add_trip(uow, driver_id, start, **places)  # type: ignore[arg-type]
            event = {"kind": "crash", "severity": "severe", "started_at": start, "duration_s": 1.0, "asserted": False}
            await uow.conn.execute(
                insert(trip_events).values(trip_id=made, seq=0, latitude=LAT, longitude=LON, **event)
            )


async def places(container: Container) -> list[tuple[float, float]]:
    query = select(trips.c.start_latitude, trip_events.c.longitude).join(
        trip_events, trip_events.c.trip_id == trips.c.trip_id
    )
    async with container.database.read() as uow:
        return [(row[0], row[1]) for row in await uow.conn.execute(query.order_by(trips.c.start_time))]


async def test_places_of_old_trips_become_coarse(container: Container) -> None:
    await drove(container, "DRV001", OLD, TODAY)
    assert (await service(container).run()).places == 0
    keeper = service(container, places_months=36)
    assert (await keeper.run()).places == 2
    assert await places(container) == [(41.23, -95.88), (LAT, LON)]
    assert (await keeper.run()).places == 0


async def test_who_withdrew_the_history_of_places_waits_only_days(container: Container) -> None:
    await drove(container, "DRV001", TODAY - timedelta(days=40), TODAY - timedelta(days=10))
    await drove(container, "DRV002", TODAY - timedelta(days=39))
    async with container.database.begin() as uow:
        await uow.conn.execute(
            text(
                "INSERT INTO driver_consents (driver_id, purpose, seq, granted, version, basis, source, decided_at)"
                " VALUES ('DRV001', 'location_history', 1, false, 1, 'contract', 'driver', now())"
            )
        )
    await service(container).run()
    assert await places(container) == [(41.23, -95.88), (LAT, LON), (LAT, LON)]


async def test_old_scores_go_unless_a_price_or_nothing_newer_rests_on_them(
    container: Container, frozen: FrozenClock
) -> None:
    risk = container.get(RiskService)
    async with container.database.begin() as uow:
        await add_driver(uow, "DRV001")
        await add_driver(uow, "DRV002")
    made = []
    for at in (OLD, OLD + timedelta(days=1), TODAY):
        frozen.set(at)
        async with container.database.begin() as uow:
            made.append((await risk.score_driver(uow, "DRV001", "test")).score_id)
            if at == OLD:
                made.append((await risk.score_driver(uow, "DRV002", "test")).score_id)
    async with container.database.begin() as uow:
        await uow.conn.execute(
            text(
                "INSERT INTO premiums (premium_id, driver_id, version, kind, status, effective_date, annual_premium,"
                " monthly_premium, currency, plan_version, score_id, worksheet, inputs, reason, created_at) VALUES"
                " (gen_random_uuid(), 'DRV001', 1, 'charged', 'active', now(), 1, 1, 'USD', 'p', :score, '[]', '{}',"
                " 'x', now())"
            ),
            {"score": made[2]},
        )
    assert (await service(container, scores_months=36).run()).scores == 1
    async with container.database.read() as uow:
        left = set((await uow.conn.execute(select(risk_scores.c.score_id))).scalars())
    assert left == set(made[1:])


async def test_staff_are_asked_about_idle_accounts_once(container: Container) -> None:
    await drove(container, "DRV001")
    await drove(container, "DRV002", TODAY - timedelta(days=3))
    async with container.database.begin() as uow:
        await uow.conn.execute(drivers.update().values(enrolled_at=OLD))
    keeper = service(container, idle_months=36)
    assert [(await keeper.run()).idle, (await keeper.run()).idle] == [1, 0]
    async with container.database.read() as uow:
        rows = (await uow.conn.execute(select(erasure_requests.c.driver_id, erasure_requests.c.source))).all()
    assert [tuple(row) for row in rows] == [("DRV001", "retention")]


@pytest.mark.usefixtures("request_id")
async def test_old_months_of_the_archive_go_for_good(container: Container, tmp_path: Path) -> None:
    assert list((tmp_path / "archive").rglob("*.parquet"))
    assert (await service(container, archive_months=12 * 9).run()).months == 0
    assert (await service(container, archive_months=12).run()).months == 1
    assert not list((tmp_path / "archive").rglob("*.parquet"))
    async with container.database.read() as uow:
        table = metadata().tables["telematics_archives"]
        assert (
            await uow.conn.execute(select(table.c.month).where(table.c.month == OLD_MONTH.start.date()))
        ).all() == []
