"""Dead letters, months, consumers and the system."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from auto_insurance.bootstrap import Container
from auto_insurance.contracts import topics
from auto_insurance.infra.bus.deadletters import DeadLetter, add_dead_letters
from auto_insurance.telematics.service import MonthJobRunner
from tests.integration.admin.conftest import value
from tests.integration.partitions.conftest import MONTH, content, fill
from tests.support.product import SECRET, product

EVENT = b'{"device_id": "DEV-1"}'


@pytest.fixture
async def letters(container: Container) -> list[int]:
    """Three letters of driving events, one of which is no text; one of a topic that does not exist."""
    made = [
        DeadLetter(topics.TELEMATICS_EVENTS, 3, n, None, "DEV-1", reason, "why", content, "g")
        for n, (reason, content) in enumerate((("invalid", EVENT), ("invalid", EVENT), ("malformed", b"\xff\x00\x1b")))
    ]
    made.append(DeadLetter("gone", 0, 1, None, "k", "unknown_topic", "", b"{}"))
    async with container.database.begin() as uow:
        await add_dead_letters(uow, made)
    return [int(await value(container.database, f"SELECT min(id) + {n} FROM dead_letters")) for n in range(4)]


async def on_the_log(container: Container) -> int:
    return int(await value(container.database, "SELECT count(*) FROM log_records WHERE value = :value", value=EVENT))


async def test_bytes_are_shown_safely(staff: httpx.AsyncClient, letters: list[int]) -> None:
    text, binary = [(await staff.get(f"/admin/dead-letters/{letters[n]}")).json() for n in (0, 2)]
    assert (text["encoding"], text["content"], text["truncated"]) == ("text", EVENT.decode(), False)
    assert (binary["encoding"], base64.b64decode(binary["content"])) == ("base64", b"\xff\x00\x1b")
    listed = await staff.get("/admin/dead-letters", params={"reason": "invalid", "state": "waiting"})
    assert [item["id"] for item in listed.json()] == [letters[1], letters[0]]
    assert listed.headers["X-Total-Count"] == "2"
    assert "content" not in listed.json()[0]
    assert (await staff.get("/admin/dead-letters/999")).status_code == 404


async def test_a_letter_is_replayed_once(container: Container, staff: httpx.AsyncClient, letters: list[int]) -> None:
    body = {"ids": [letters[0], letters[3], 999]}
    first = (await staff.post("/admin/dead-letters/replay", json=body)).json()
    assert first["ids"] == [letters[0]]
    assert first["left"].keys() == {str(letters[3]), "999"}
    assert first["left"]["999"] == "not_found"
    assert await on_the_log(container) == 1
    again = (await staff.post("/admin/dead-letters/replay", json=body)).json()
    assert (again["done"], again["left"][str(letters[0])]) == (0, "replayed")
    assert await on_the_log(container) == 1
    by_reason = (await staff.post("/admin/dead-letters/replay", json={"reason": "invalid"})).json()
    assert by_reason["ids"] == [letters[1]]
    assert await on_the_log(container) == 2
    header = "SELECT headers FROM log_records WHERE value = :value LIMIT 1"
    assert '"import"' in await value(container.database, header, value=EVENT)
    bodies: tuple[dict[str, Any], ...] = ({}, {"ids": [1], "reason": "x"}, {"ids": []}, {"reason": "x", "limit": 501})
    for wrong in bodies:
        assert (await staff.post("/admin/dead-letters/replay", json=wrong)).status_code == 422


async def test_a_dropped_letter_keeps_its_story_and_not_its_bytes(
    container: Container, staff: httpx.AsyncClient, letters: list[int]
) -> None:
    body = {"ids": [letters[2]], "note": "noise of a bench test"}
    assert (await staff.post("/admin/dead-letters/drop", json=body)).json()["ids"] == [letters[2]]
    found = (await staff.get(f"/admin/dead-letters/{letters[2]}")).json()
    assert (found["state"], found["note"], found["content"], found["size"]) == ("dropped", body["note"], "", 0)
    assert (await staff.post("/admin/dead-letters/replay", json={"ids": [letters[2]]})).json()["done"] == 0
    assert (await staff.post("/admin/dead-letters/drop", json={"ids": [letters[0]]})).status_code == 422


async def work(container: Container, staff: httpx.AsyncClient, job_id: str) -> Any:
    assert await container.get(MonthJobRunner).run_one()
    return (await staff.get(f"/admin/partitions/jobs/{job_id}")).json()


async def test_months_leave_and_come_back_in_the_background(
    container: Container, staff: httpx.AsyncClient, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await staff.post("/admin/partitions", json={"months": ["2020-01", "2020-01"]})
    assert made.json() == {"created": ["2020-01"], "existing": []}
    months = {month["month"]: month for month in (await staff.get("/admin/partitions")).json()["items"]}
    assert (months["2020-01"]["status"], months["2020-01"]["rows"]) == ("online", 0)
    queued = await staff.post("/admin/partitions/2020-01/archive", json={"force": True})
    assert (queued.status_code, queued.json()["status"]) == (202, "queued")
    twice = await staff.post("/admin/partitions/2020-01/archive")
    assert (twice.status_code, twice.json()["code"]) == (409, "month_job_open")
    done = await work(container, staff, queued.json()["job_id"])
    assert (done["status"], done["result"]) == ("done", "dropped")  # an empty month leaves nothing to archive
    refused = await staff.post("/admin/partitions/2020-01/restore")
    failed = await work(container, staff, refused.json()["job_id"])
    assert (failed["status"], failed["result"]) == ("failed", None)
    assert "2020-01" in failed["detail"]
    assert not await container.get(MonthJobRunner).run_one()
    jobs = await staff.get("/admin/partitions/jobs")
    assert jobs.headers["X-Total-Count"] == "2"
    assert (await staff.post("/admin/partitions/2020-13/archive")).status_code == 422


async def test_a_month_with_events_leaves_and_comes_back_whole(
    container: Container, staff: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with product(container.settings.database.url.get_secret_value(), DATA_DIR=str(tmp_path)) as keeping:  # type: ignore[union-attr]
        db, name = keeping.database, str(MONTH)
        await fill(db)
        before = await content(db)
        assert before.rows == 2000
        queued = await staff.post(f"/admin/partitions/{name}/archive")
        done = await work(keeping, staff, queued.json()["job_id"])
        assert (done["status"], done["result"]) == ("done", "archived"), done
        months = {month["month"]: month for month in (await staff.get("/admin/partitions")).json()["items"]}
        assert months[name]["status"] == "archived"
        assert (await content(db)).rows == 0
        queued = await staff.post(f"/admin/partitions/{name}/restore")
        done = await work(keeping, staff, queued.json()["job_id"])
        assert (done["status"], done["result"]) == ("done", "restored"), done
        assert await content(db) == before


async def test_consumers_and_settings(container: Container, staff: httpx.AsyncClient) -> None:
    async with container.database.begin() as uow:
        await uow.conn.exec_driver_sql(
            "INSERT INTO consumer_offsets (group_name, topic, partition_no, topic_id, next_offset)"
            " VALUES ('g', 'telematics-events', 0, 'x', 0)"
        )
    [group] = (await staff.get("/admin/consumers")).json()["items"]
    assert (group["group"], group["lag"], group["partitions"][0]["partition"]) == ("g", 0, 0)
    answer = await staff.get("/admin/system")
    system = answer.json()
    assert system["migration"] == system["migration_needed"]
    assert SECRET not in answer.text
    assert {"DATABASE_URL", "JWT_SECRET_KEY"} <= {setting["name"] for setting in system["settings"]}
    url = container.settings.database.url
    assert url is not None
    assert url.get_secret_value() not in answer.text
