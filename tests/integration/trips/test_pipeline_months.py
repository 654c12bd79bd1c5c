"""Events of an archived month are buried with the reason; what else their record holds is stored."""

from __future__ import annotations

from sqlalchemy import text

from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.outcome import Drop, Ok
from tests.integration.trips.conftest import Worker
from tests.support.trips import Drive

MAY_2019_US = 1_558_310_400_000_000


async def test_an_event_of_an_archived_month_is_buried_alone(worker: Worker, db: Database) -> None:
    async with db.begin() as uow:
        await uow.conn.execute(
            text("INSERT INTO telematics_archives (month, status) VALUES ('2019-05-01', 'archived')")
        )
    closed = Drive(t_us=MAY_2019_US).go(12.0, 3).samples
    fine = Drive().go(12.0, 3).samples
    record = worker.record_of([fine[0], closed[0], fine[1]])
    again = worker.record_of(fine[:2])
    assert await worker.handle([record, worker.record_of(closed[1:])]) == [Ok(None), Ok(None)]
    assert await worker.handle([again]) == [Drop()]
    async with db.read() as uow:
        letters = text(
            "SELECT reason, index_in_record, value FROM dead_letters ORDER BY record_offset, index_in_record"
        )
        rows = (await uow.conn.execute(letters)).all()
        stored = await uow.conn.scalar(text("SELECT count(*) FROM telematics_events"))
    assert [(row[0], row[1]) for row in rows][:2] == [("month_archived", 1), ("month_archived", 0)]
    assert closed[0].event_id.encode() in bytes(rows[0][2])
    assert stored == 2
