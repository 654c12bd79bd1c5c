"""What becomes of an open trip that, on closing, turns out too short to count."""

from __future__ import annotations

from sqlalchemy import text

from auto_insurance.infra.db.uow import Database
from auto_insurance.trips.contents import Closed, Ref
from auto_insurance.trips.ledger import Ledger
from tests.integration.trips.conftest import Worker
from tests.support.trips import Drive, kept


async def test_a_published_trip_that_turns_out_too_short_is_withdrawn(worker: Worker, db: Database) -> None:
    (content,) = kept(Drive().go(12.0, 100).samples)
    ledger = Ledger()
    ledger.close(Closed(0, content, True, None), lambda _device, _t_us: "VEH001")
    async with db.begin() as uow:
        await ledger.write(uow)
    (row,) = await worker.trips()
    ref = Ref(row["trip_id"], row["revision"], row["content_hash"], row["vehicle_id"])
    ledger.close(Closed(0, content, False, ref), lambda _device, _t_us: None)
    async with db.begin() as uow:
        await ledger.write(uow)
    assert await worker.trips() == []
    told = await worker.told()
    assert [(event.type, event.data["revision"]) for event in told] == [("trip.completed", 1), ("trip.withdrawn", 2)]
    async with db.read() as uow:
        assert (await uow.conn.execute(text("SELECT status, revision FROM trips"))).one() == ("withdrawn", 2)
