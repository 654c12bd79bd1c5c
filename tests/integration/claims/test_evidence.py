"""Telemetry around a loss: frozen, versioned when events come late, and tampering shows. Crashes open drafts."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from auto_insurance.claims import handlers
from auto_insurance.contracts import topics
from auto_insurance.contracts.alerts import CRASH_REPORTED, CrashReported
from auto_insurance.contracts.trips import TRIP_AMENDED, TripChanged
from auto_insurance.kernel import ids
from auto_insurance.kernel.events import Envelope, new_event
from tests.integration.claims.conftest import DEVICE, DRIVER, LOSS, Desk, around
from tests.support.scoring import TODAY, deliver, published


def crash(event_id: str = "c1", after_s: float = 0, driver_id: str = DRIVER) -> Envelope:
    payload = CrashReported(
        driver_id=driver_id, device_id=DEVICE, event_id=event_id, occurred_at=LOSS + timedelta(seconds=after_s),
        received_at=TODAY,
    )  # fmt: skip
    return new_event(payload, type=CRASH_REPORTED, version=1, key=driver_id)


def amended(start_s: float = -600, end_s: float = 600) -> Envelope:
    payload = TripChanged(
        trip_id=ids.new_uuid(), driver_id=DRIVER, device_id=DEVICE, revision=2,
        start_time=LOSS + timedelta(seconds=start_s), end_time=LOSS + timedelta(seconds=end_s), distance_miles=1.0,
        reason="late_events",
    )  # fmt: skip
    return new_event(payload, type=TRIP_AMENDED, version=1, key=DRIVER)


async def test_ninety_seconds_are_frozen(desk: Desk) -> None:
    await desk.store(around())
    evidence = (await desk.reported())["evidence"]
    assert (evidence["version"], evidence["versions"], evidence["reason"]) == (1, 1, "reported")
    assert evidence["devices"] == [DEVICE]
    assert evidence["event_count"] == len(evidence["speeds"]) == 91
    assert (evidence["speeds"][0]["offset_s"], evidence["speeds"][-1]["offset_s"]) == (-60.0, 30.0)
    assert len(evidence["path"]["coordinates"]) == 91
    assert evidence["path"]["coordinates"][0][0] < -95
    assert len(evidence["checksum"]) == 64


async def test_without_telemetry_that_is_what_is_frozen(desk: Desk) -> None:
    claim = await desk.reported()
    assert (claim["evidence"]["event_count"], claim["evidence"]["path"]) == (0, None)


async def test_only_the_claimed_vehicle_and_the_driver_s_own_time_count(desk: Desk) -> None:
    await desk.store(around())
    async with desk.db.begin() as uow:
        await uow.conn.execute(text("UPDATE device_assignments SET vehicle_id = NULL"))
        await uow.conn.execute(
            text("UPDATE telematics_events SET driver_id = 'DRV002' WHERE timestamp > :at"), {"at": LOSS}
        )
    claim = await desk.reported(vehicle_id="VEH-DRV001")
    assert claim["evidence"]["event_count"] == 61
    async with desk.db.begin() as uow:
        vehicle = (
            "INSERT INTO vehicles SELECT 'VEH-2', driver_id, make, model, year, use, NULL, created_at FROM vehicles"
        )
        await uow.conn.execute(text(f"{vehicle} WHERE driver_id = 'DRV001'"))
        await uow.conn.execute(text("UPDATE device_assignments SET vehicle_id = 'VEH-2'"))
    other = await desk.reported(vehicle_id="VEH-DRV001")
    assert other["evidence"]["event_count"] == 0


async def test_late_events_make_a_second_version_and_the_first_stays(desk: Desk) -> None:
    samples = around()
    await desk.store(samples[:80])
    claim = await desk.reported()
    first = claim["evidence"]
    path = f"/claims/{claim['claim_id']}"
    await desk.store(samples[80:])
    async with desk.staff() as client:
        assert (await client.get(f"{path}/evidence/verify")).json()["source"] == "more_events"
        subscription = handlers.evidence(desk.claims)
        await deliver(desk.db, subscription, [amended(-900, -100), amended(40, 90)])
        assert (await client.get(path)).json()["evidence"]["versions"] == 1, "trips elsewhere touch nothing"
        for event in (amended(), amended()):
            await deliver(desk.db, subscription, [event, event])
        newest = (await client.get(path)).json()["evidence"]
        kept = (await client.get(path, params={"evidence_version": 1})).json()["evidence"]
        none = (await client.get(path, params={"evidence_version": 3})).json()["evidence"]
        check = (await client.get(f"{path}/evidence/verify")).json()
    assert (newest["version"], newest["versions"], newest["reason"]) == (2, 2, "late_events")
    assert newest["event_count"] == 91 > first["event_count"]
    assert {**kept, "versions": 1} == first
    assert none is None
    assert (check["intact"], check["source"]) == (True, "same")
    assert [version["version"] for version in check["versions"]] == [1, 2]


async def _tamper(desk: Desk, statement: str) -> None:
    """Change what nobody may change, as somebody with the keys to the database could."""
    async with desk.db.begin() as uow:
        await uow.conn.execute(text("SET LOCAL session_replication_role = replica"))
        await uow.conn.exec_driver_sql(statement)


async def test_tampering_shows(desk: Desk) -> None:
    samples = around()
    await desk.store(samples[:80])
    claim_id = (await desk.reported())["claim_id"]
    await desk.store(samples[80:])
    async with desk.db.begin() as uow:
        await desk.claims.freeze_again(uow, claim_id, "late_events")

    async def check() -> tuple[bool, list[bool]]:
        async with desk.driver() as client:
            found = (await client.get(f"/claims/{claim_id}/evidence/verify")).json()
        return found["intact"], [version["intact"] for version in found["versions"]]

    async def damaged() -> tuple[list[str], list[str]]:
        async with desk.db.read() as uow:
            return await desk.claims.damaged(uow, "", 10)

    assert await check() == (True, [True, True])
    assert await damaged() == ([claim_id], [])
    speed = "convert_to(replace(convert_from(content, 'UTF8'), '\"speed_mph\":33', '\"speed_mph\":23'), 'UTF8')"
    await _tamper(desk, f"UPDATE claim_evidence SET content = {speed} WHERE version = 1")
    assert await check() == (False, [False, True])
    assert await damaged() == ([claim_id], [claim_id])
    # A checksum made to fit gives itself away at the version after it.
    lines = "claim_id || E'\\n1\\n' || (extract(epoch FROM window_start) * 1000000)::bigint || E'\\n' ||"
    lines += "(extract(epoch FROM window_end) * 1000000)::bigint || E'\\n-\\n'"
    fitting = f"encode(sha256(convert_to({lines}, 'UTF8') || content), 'hex')"
    await _tamper(desk, f"UPDATE claim_evidence SET checksum = {fitting} WHERE version = 1")
    assert await check() == (False, [True, False])
    await _tamper(desk, "DELETE FROM claim_evidence WHERE version = 1")
    assert await check() == (False, [False])
    await _tamper(desk, "UPDATE claim_evidence SET content = 'nonsense'")
    assert await check() == (False, [False])


async def test_changed_telemetry_shows(desk: Desk) -> None:
    await desk.store(around())
    claim_id = (await desk.reported())["claim_id"]
    async with desk.db.begin() as uow:
        await uow.conn.execute(text("UPDATE telematics_events SET quality = 8"))
    async with desk.staff() as client:
        flagged = (await client.get(f"/claims/{claim_id}/evidence/verify")).json()
        async with desk.db.begin() as uow:
            await uow.conn.execute(text("DELETE FROM telematics_events WHERE timestamp = :at"), {"at": LOSS})
        gone = (await client.get(f"/claims/{claim_id}/evidence/verify")).json()
    assert (flagged["intact"], flagged["source"]) == (True, "same")
    assert (gone["intact"], gone["source"]) == (True, "different")


async def test_a_crash_opens_one_draft_however_often_it_is_told(desk: Desk) -> None:
    await desk.store(around(after_s=10))
    subscription = handlers.crashes(desk.intake)
    first, resent = crash(), crash()
    db = desk.db
    await deliver(db, subscription, [first, first, resent, crash("c2", after_s=4), crash("c3", after_s=-300)])
    await deliver(db, subscription, [first, crash("c4", driver_id="DRV404")])
    async with desk.driver() as client:
        [draft] = (await client.get("/claims")).json()["items"]
        detail = (await client.get(f"/claims/{draft['claim_id']}")).json()
    assert (draft["status"], draft["source"], draft["coverage"]) == ("draft", "device", None)
    assert detail["evidence"]["event_count"] == 70
    assert detail["may_move_to"] == ["reported", "withdrawn"]
    told = await published(db, topics.CLAIMS)
    assert [(event.type, event.data["counts"]) for event in told] == [("claim.drafted", False)]
    await deliver(db, subscription, [crash("c5", after_s=3600)])
    async with desk.driver() as client:
        assert (await client.get("/claims")).json()["total"] == 2


async def test_a_withdrawn_false_alarm_stays_withdrawn(desk: Desk) -> None:
    subscription = handlers.crashes(desk.intake)
    await deliver(desk.db, subscription, [crash()])
    async with desk.driver() as client:
        await client.post("/claims/CLM-000001/transition", json={"to": "withdrawn"})
        await deliver(desk.db, subscription, [crash("c9", after_s=1)])
        assert (await client.get("/claims")).json()["total"] == 1


async def test_a_draft_is_completed_and_reported(desk: Desk) -> None:
    await deliver(desk.db, handlers.crashes(desk.intake), [crash()])
    await desk.store(around())
    path = "/claims/CLM-000001"
    async with desk.driver() as client:
        early = await client.post(f"{path}/transition", json={"to": "reported"})
        changes = {"coverage": "collision", "description": "A deer.", "injuries": True, "vehicle_id": "VEH-DRV001"}
        edited = await client.patch(path, json={**changes, "place": {"latitude": 1, "longitude": 2}})
        foreign = await client.patch(path, json={"vehicle_id": "VEH-DRV002"})
        unchanged = await client.patch(path, json={"injuries": None, "place": None})
        reported = await client.post(f"{path}/transition", json={"to": "reported"})
        late = await client.patch(path, json={"injuries": False})
    assert (early.status_code, early.json()["code"]) == (409, "claim_move_refused")
    assert (edited.json()["description"], edited.json()["place"]) == ("A deer.", {"latitude": 1.0, "longitude": 2.0})
    assert foreign.status_code == 422
    assert (unchanged.json()["injuries"], unchanged.json()["place"]) == (True, None)
    assert (reported.json()["status"], reported.json()["policy_id"]) == ("reported", "POL-1")
    assert reported.json()["evidence"]["versions"] == 2
    assert (late.status_code, late.json()["code"]) == (409, "claim_not_editable")
    told = await published(desk.db, topics.CLAIMS)
    assert [event.type for event in told] == ["claim.drafted", "claim.reported"]
    assert [event.data["revision"] for event in told] == [1, 2]


async def test_a_report_completes_the_draft_of_its_crash(desk: Desk) -> None:
    await deliver(desk.db, handlers.crashes(desk.intake), [crash()])
    claim = await desk.reported(occurred_at=(LOSS + timedelta(minutes=4)).isoformat())
    assert (claim["claim_id"], claim["status"], claim["source"]) == ("CLM-000001", "reported", "device")
    assert claim["occurred_at"] == LOSS.isoformat().replace("+00:00", "Z"), "the device knows the second"
