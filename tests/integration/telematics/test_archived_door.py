"""The door knows which months are archived: an upload of such events is told so, not accepted and buried later."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from auto_insurance.infra.db.uow import Database
from auto_insurance.telematics import archived
from auto_insurance.telematics.archived import ArchiveWatch
from auto_insurance.telematics.limits import ArchivedMonths
from auto_insurance.telematics.service import IngestService
from tests.integration.telematics.conftest import Door
from tests.integration.telematics.test_ingest_api import BATCH, event


async def archive_may_2019(db: Database) -> None:
    async with db.begin() as uow:
        row = "INSERT INTO telematics_archives (month, status) VALUES ('2019-05-01', 'archived')"
        await uow.conn.execute(text(row))


async def test_an_import_of_an_archived_month_is_told_so(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest = door.people.app.state.services[IngestService]
    monkeypatch.setattr(ingest, "_archive", ArchiveWatch(door.people.db, ingest.policy.archived))
    await archive_may_2019(door.people.db)
    events = [event(device_id="OLD", timestamp=f"2019-0{month}-20T12:00:00Z") for month in (4, 5, 6)]
    async with door.client(key="OLD") as client:
        body = (await client.post(f"{BATCH}?mode=import&verbose=true", json={"events": events})).json()
    assert [result["status"] for result in body["results"]] == ["accepted", "rejected", "accepted"]
    assert [reason["code"] for reason in body["results"][1]["reasons"]] == ["month_archived"]


async def test_the_list_is_read_now_and_then_and_outlives_the_database(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    months = ArchivedMonths()
    watch = ArchiveWatch(db, months)
    await watch.refresh()
    assert months.spans == ()
    await archive_may_2019(db)
    await watch.refresh()
    assert months.spans == (), "it is not due"
    watch = ArchiveWatch(db, months)
    monkeypatch.setattr(archived, "archived_months", away)
    await watch.refresh()
    assert months.spans == ()


async def away(_: object) -> None:
    raise ConnectionRefusedError
