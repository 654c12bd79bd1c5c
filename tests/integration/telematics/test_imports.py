"""Files become events once, whatever breaks on the way."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from auto_insurance.infra.bus.errors import LogFull
from auto_insurance.kernel import clock
from tests.integration.telematics.conftest import Door

CSV = "timestamp,latitude,longitude,speed\n" + "".join(
    f"2019-05-23T20:54:{second:02d}Z,41.{second:02d},-96.5,{speed}\n"
    for second, speed in enumerate([10, 11, "fast", 13, 999, 15, -1, 17, 18, 19])
)
GPX = (
    "<gpx><trk><trkseg>"
    + "".join(f'<trkpt lat="41.{n}" lon="-96.5"><time>2018-01-31T23:59:5{n}Z</time></trkpt>' for n in range(5))
    + "</trkseg></trk></gpx>"
)


async def upload(door: Door, content: str, name: str = "a.csv", device: str = "D1", user: str = "driver0001") -> Any:
    password = "admin123" if user == "admin" else "password" + user[-4:]
    async with door.client(await door.people.token(user, password)) as client:
        files = {"file": (name, content.encode())}
        return await client.post("/telematics/import", data={"device_id": device}, files=files)


async def state(door: Door, job_id: str, user: str = "driver0001") -> Any:
    password = "admin123" if user == "admin" else "password" + user[-4:]
    async with door.client(await door.people.token(user, password)) as client:
        return await client.get(f"/telematics/import/{job_id}")


async def test_a_csv_is_imported_with_a_reason_for_each_refused_row(door: Door) -> None:
    queued = await upload(door, CSV)
    assert (queued.status_code, queued.json()["status"]) == (202, "queued")
    assert await door.imports.run_one()
    assert not await door.imports.run_one()
    job = (await state(door, queued.json()["job_id"])).json()
    assert (job["status"], job["accepted"], job["rejected"]) == ("done", 7, 3)
    assert job["reasons"] == {"wrong_type": 1, "out_of_range": 2}
    assert [problem["line"] for problem in job["problems"]] == [4, 6]  # as many as are kept
    assert job["finished_at"]
    assert len(await door.work()) == 7


async def test_a_gpx_is_imported_over_the_end_of_a_month_that_has_no_partition(door: Door) -> None:
    queued = await upload(door, GPX, "a.gpx", user="admin")
    await door.imports.run_one()
    job = (await state(door, queued.json()["job_id"], "admin")).json()
    assert (job["status"], job["accepted"], job["format"]) == ("done", 5, "gpx")
    assert len(await door.work()) == 5


async def test_a_crash_between_append_and_progress_changes_nothing_in_the_end(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auto_insurance.telematics import repository_imports as repository

    job_id = (await upload(door, CSV)).json()["job_id"]
    real, calls = repository.note_progress, 0

    async def crash(*args: Any, **kwargs: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise asyncio.CancelledError
        return await real(*args, **kwargs)

    monkeypatch.setattr(repository, "note_progress", crash)
    with pytest.raises(asyncio.CancelledError):
        await door.imports.run_one()
    assert not await door.imports.run_one()  # still leased
    assert (await state(door, job_id)).json()["status"] == "running"
    with clock.use_clock(clock.FrozenClock(clock.now() + timedelta(seconds=61))):
        assert await door.imports.run_one()
    job = (await state(door, job_id)).json()
    assert (job["status"], job["accepted"], job["rejected"]) == ("done", 7, 3)
    sent = sum(record.value.count(b"timestamp") for record in door.log.records)
    assert sent > 7
    assert len(await door.work()) == 7


async def test_a_full_log_only_makes_an_import_wait(door: Door) -> None:
    job_id = (await upload(door, CSV)).json()["job_id"]
    door.log.full = True
    for _ in range(8):
        with pytest.raises(LogFull):
            await door.imports.run_one()
    assert (await state(door, job_id)).json()["status"] == "queued"
    door.log.full = False
    await door.imports.run_one()
    assert (await state(door, job_id)).json()["status"] == "done"


async def test_what_crashes_again_and_again_is_given_up(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = (await upload(door, CSV)).json()["job_id"]

    async def fail(*_: Any) -> bool:
        raise RuntimeError

    monkeypatch.setattr(door.imports, "_work", fail)
    frozen = clock.FrozenClock(clock.now())
    with clock.use_clock(frozen):
        for _ in range(5):
            with pytest.raises(RuntimeError):
                await door.imports.run_one()
            frozen.advance(timedelta(seconds=61))
        assert await door.imports.run_one()
    job = (await state(door, job_id)).json()
    assert (job["status"], job["detail"]) == ("failed", "given up after 5 tries")


async def test_who_lost_the_lease_stops(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from auto_insurance.telematics import repository_imports as repository

    job_id = (await upload(door, CSV)).json()["job_id"]

    async def lost(*_: Any, **__: Any) -> bool:
        return False

    monkeypatch.setattr(repository, "note_progress", lost)
    assert await door.imports.run_one()
    assert (await state(door, job_id)).json()["status"] == "running"


async def test_a_broken_file_fails_with_its_line_and_keeps_the_rows_before(door: Door) -> None:
    job_id = (await upload(door, GPX.replace("</trkseg>", "<<"), "a.gpx")).json()["job_id"]
    await door.imports.run_one()
    job = (await state(door, job_id)).json()
    assert job["status"] == "failed"
    assert "line 1" in job["detail"]


async def test_others_devices_files_and_queues_are_off_limits(door: Door) -> None:
    assert (await upload(door, CSV, device="D2")).status_code == 404
    assert (await upload(door, CSV, device="unknown")).status_code == 404
    assert (await upload(door, "PK", "a.zip")).json()["code"] == "unreadable_file"
    job_id = (await upload(door, CSV)).json()["job_id"]
    assert (await state(door, job_id, "driver0002")).status_code == 404
    assert (await upload(door, CSV)).status_code == 202
    assert (await upload(door, CSV)).status_code == 429


async def test_the_loop_works_until_it_is_stopped(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = (await upload(door, CSV)).json()["job_id"]
    door.log.full = True
    object.__setattr__(door.imports._options, "pause_s", 0.01)
    object.__setattr__(door.imports._options, "poll_s", 0.01)
    stop = asyncio.Event()
    task = asyncio.create_task(door.imports.run(stop))
    await asyncio.sleep(0.1)
    door.log.full = False
    for _ in range(100):
        if (await state(door, job_id)).json()["status"] == "done":
            break
        await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert (await state(door, job_id)).json()["status"] == "done"


async def test_contacts_wait_for_a_database_that_is_away_and_are_bounded(door: Door) -> None:
    from auto_insurance.telematics import contacts as module
    from auto_insurance.telematics.service import ContactBook

    class Away:
        def begin(self) -> Any:
            raise ConnectionRefusedError

    now = clock.to_us(clock.now())
    options = module.ContactOptions(flush_s=0.01, max_waiting=1)
    book = ContactBook(Away(), options)  # type: ignore[arg-type]
    book.note("a", now, accepted=1, rejected=0, newest_us=now - 5)
    stop = asyncio.Event()
    task = asyncio.create_task(book.run(stop))
    await asyncio.sleep(0.05)
    book.note("a", now + 1, accepted=1, rejected=2, newest_us=None)
    book.note("b", now, accepted=1, rejected=0, newest_us=None)  # one too many
    stop.set()
    await asyncio.wait_for(task, 5)
    book._db = door.people.db
    assert await book.flush() == 1
    with clock.use_clock(clock.FrozenClock(clock.now() + timedelta(days=40))):
        assert await book.forget_old() == 1
        assert await book.forget_old() == 0
