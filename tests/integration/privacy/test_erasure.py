"""After an erasure nothing tells who somebody was: in no table, no file, no key. What is left is proved."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from auto_insurance.bootstrap import Container, archive_options
from auto_insurance.bootstrap.privacy import HOLDINGS
from auto_insurance.infra.db.holdings import Fate
from auto_insurance.infra.db.partitions import Month
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import to_us
from auto_insurance.pricing.replay import Source
from auto_insurance.pricing.replay_service import Replays
from auto_insurance.privacy.errors import ErasureBlocked, ErasureClosed, ProofNotFound
from auto_insurance.privacy.schemas import Proof
from auto_insurance.privacy.service import ErasureService, RetentionService
from auto_insurance.risk.service import RiskService
from auto_insurance.risk.vectors import Vectors
from auto_insurance.telematics import archive_files, repository_archives
from auto_insurance.telematics.archive_reads import ArchiveReader
from auto_insurance.telematics.service import ArchiveEraser
from tests.integration.privacy.conftest import DEVICE, ME, OLD_MONTH, Traces, drive_of
from tests.integration.trips.conftest import Worker
from tests.support.caches import listening
from tests.support.product import client_of
from tests.support.scoring import TODAY, add_trip

EXPIRING = frozenset(holding.name for holding in HOLDINGS if holding.fate is Fate.EXPIRES)


class Killed(BaseException):
    """The process dies here."""


async def count(container: Container, query: str) -> int:
    async with container.database.read() as uow:
        return int((await uow.conn.execute(text(query))).scalar_one())


async def erase(container: Container, request_id: UUID) -> Proof:
    erasures = container.get(ErasureService)
    async with container.database.begin() as uow:
        await erasures.begin(uow, request_id, by="ada")
    return await erasures.run(request_id)


async def test_nothing_is_left_of_a_driver_anywhere(container: Container, request_id: UUID, traces: Traces) -> None:
    before = await traces.in_tables()
    gone = {holding.name for holding in HOLDINGS if holding.fate in {Fate.DELETED, Fate.PSEUDONYMISED}}
    told = {"drivers", "vehicles", "users", "claims", "trips", "telematics_events", "premiums", "policy_transactions"}
    assert told <= set(before) <= gone | EXPIRING
    assert traces.in_archive()
    assert len(await traces.in_redis()) == 2
    proof = await erase(container, request_id)
    assert await traces.in_tables(but=EXPIRING) == {}
    assert traces.in_archive() == []
    assert await traces.in_redis() == []
    assert container.redis is not None
    assert await container.redis.get("card:DRV0011") == b"somebody else"
    assert (await container.get(ErasureService).verify(proof.proof_id)).holds
    assert await count(container, "SELECT count(*) FROM telematics_events WHERE driver_id = 'DRV002'") == 60
    async with container.database.read() as uow:
        reader = ArchiveReader(archive_options(container.settings))
        other = await reader.events(uow, "DRV002", OLD_MONTH.start, OLD_MONTH.end)
    assert len(other) == 60


async def test_a_kept_feature_vector_goes_too(container: Container, request_id: UUID, traces: Traces) -> None:
    risk, place = container.get(RiskService), container.get(Vectors).place(ME)
    async with listening(container.cache):
        while container.cache.listener is None or not container.cache.listener.settled:
            await asyncio.sleep(0.02)
        async with container.database.read() as uow:
            await risk.preview(uow, [ME], "test", risk.window_days)
        assert place.name in await traces.in_redis()
        assert container.cache.peek(place) is not None
        proof = await erase(container, request_id)
        assert container.cache.peek(place) is None
    assert await traces.in_redis() == []
    steps = {step["name"]: step["changed"] for step in proof.document["steps"]}
    assert steps["cache"] == 4  # the vector, a generation that names the driver, and what was there before


async def test_a_proof_tells_what_was_there_and_cannot_be_changed(container: Container, request_id: UUID) -> None:
    proof = await erase(container, request_id)
    steps = {step["name"]: step for step in proof.document["steps"]}
    events = steps["table:telematics_events"]
    assert (events["fate"], events["before"]["rows"], events["after"]["rows"], events["changed"]) == (
        "deleted",
        60,
        0,
        60,
    )
    archive = steps[f"archive:{OLD_MONTH}"]
    assert (archive["changed"], archive["after"]["removed"], archive["after"]["rows"]) == (60, 60, 60)
    ledger = steps["table:ledger_entries"]
    assert ledger["fate"] == "kept"
    assert ledger["before"] == ledger["after"] != {"rows": 0, "checksum": "0"}
    assert proof.document["decided_by"] == "ada"
    assert proof.document["event_log"]["gone_by"] > proof.document["finished_at"]
    with pytest.raises(DBAPIError, match="append-only"):
        async with container.database.begin() as uow:
            await uow.conn.execute(text("UPDATE erasure_proofs SET document = '{}'"))


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("document = replace(document, 'ada', 'eve')", "digest"),
        ("previous = 'x'", "another proof"),
        ("number = 7", "before it is gone"),
    ],
)
async def test_a_changed_proof_does_not_hold(container: Container, request_id: UUID, tampering: str, told: str) -> None:
    proof = await erase(container, request_id)
    async with container.database.begin() as uow:
        await uow.conn.execute(text("ALTER TABLE erasure_proofs DISABLE TRIGGER ALL"))
        await uow.conn.execute(text(f"UPDATE erasure_proofs SET {tampering}"))
    verdict = await container.get(ErasureService).verify(proof.proof_id)
    assert not verdict.holds
    assert told in " ".join(verdict.problems)


async def test_what_comes_back_is_seen_and_swept(container: Container, request_id: UUID) -> None:
    proof = await erase(container, request_id)
    async with container.database.begin() as uow:
        await add_trip(uow, ME, TODAY)
    verdict = await container.get(ErasureService).verify(proof.proof_id)
    assert verdict.problems == ["trips holds 1 rows of the driver again."]
    assert (await container.get(RetentionService).run()).swept == 1
    assert (await container.get(ErasureService).verify(proof.proof_id)).holds


async def test_an_erasure_goes_on_where_it_was_cut_off(container: Container, request_id: UUID, traces: Traces) -> None:
    """It is killed after each step in turn; what an attempt proved the next one keeps."""
    erasures = container.get(ErasureService)
    async with container.database.begin() as uow:
        await erasures.begin(uow, request_id, by="ada")
    done: list[str] = []

    def killed(name: str, rows: int) -> None:
        done.append(name)
        raise Killed

    for _ in range(200):
        try:
            proof = await erasures.run(request_id, killed)
        except Killed:
            continue
        break
    else:
        pytest.fail("it never came to an end")
    assert len(done) == len(set(done)) > 30
    assert {step["name"]: step["changed"] for step in proof.document["steps"]}["table:telematics_events"] == 60
    assert await traces.in_tables(but=EXPIRING) == {}
    assert traces.in_archive() == []
    assert await erasures.run(request_id) == proof


async def test_a_rewritten_month_survives_a_death_between_its_files_and_its_row(
    container: Container, request_id: UUID, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    for target, place in ((repository_archives, "save_state"), (archive_files, "remove")):
        real = getattr(target, place)

        def die(*args: object, **more: object) -> None:
            raise Killed

        monkeypatch.setattr(target, place, die)
        with pytest.raises(Killed):
            await erase(container, request_id)
        monkeypatch.setattr(target, place, real)
    proof = await container.get(ErasureService).run(request_id)
    assert traces.in_archive() == []
    assert (await container.get(ErasureService).verify(proof.proof_id)).holds
    assert len(list(traces.archive.rglob("manifest.json"))) == 1


async def test_a_month_rewritten_before_a_death_is_told_in_the_proof(
    container: Container, request_id: UUID, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ArchiveEraser.erase

    async def die(eraser: ArchiveEraser, month: Month, driver_id: str) -> None:
        await real(eraser, month, driver_id)
        raise Killed

    monkeypatch.setattr(ArchiveEraser, "erase", die)
    with pytest.raises(Killed):
        await erase(container, request_id)
    monkeypatch.setattr(ArchiveEraser, "erase", real)
    proof = await container.get(ErasureService).run(request_id)
    [step] = [step for step in proof.document["steps"] if step["name"] == f"archive:{OLD_MONTH}"]
    assert (step["changed"], step["after"]) == (60, {"driver_rows": 0})
    async with container.database.read() as uow:
        state = await container.get(ErasureService).state(uow, request_id)
    assert all(step.done_at for step in state.steps)
    assert traces.in_archive() == []


async def test_late_events_of_the_device_are_not_stored(container: Container, request_id: UUID) -> None:
    worker = Worker(container.database)
    await worker.send(drive_of(DEVICE, to_us(TODAY)))  # the worker knows the device
    assert await count(container, f"SELECT count(*) FROM telematics_events WHERE device_id = '{DEVICE}'") == 120
    letters = await count(container, "SELECT count(*) FROM dead_letters")
    proof = await erase(container, request_id)
    await worker.send(drive_of(DEVICE, to_us(TODAY - timedelta(hours=2))))
    await worker.send(drive_of(DEVICE, to_us(TODAY + timedelta(hours=2))))
    assert await count(container, f"SELECT count(*) FROM telematics_events WHERE device_id = '{DEVICE}'") == 0
    assert await count(container, "SELECT count(*) FROM dead_letters") == letters - 1
    assert (await container.get(ErasureService).verify(proof.proof_id)).holds


async def test_a_premium_is_still_made_again_from_its_features(container: Container, request_id: UUID) -> None:
    query = "SELECT premium_id FROM premiums WHERE kind = 'charged' AND driving IS NOT NULL LIMIT 1"
    async with container.database.read() as uow:
        premium_id = (await uow.conn.execute(text(query))).scalar_one()
    await erase(container, request_id)
    async with container.database.read() as uow:
        again = await container.get(Replays).replay(uow, premium_id)
    assert (again.source, again.differences) == (Source.FEATURES, ())
    assert again.annual_premium == again.annual_premium_again


async def _open(uow: UnitOfWork, statement: str) -> None:
    await uow.conn.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE policies SET status = 'active'", "in force"),
        ("UPDATE claims SET status = 'open'", "not settled"),
        ("UPDATE invoices SET open_amount = 1", "open on its invoices"),
        ("UPDATE users SET roles = '{driver,admin}' WHERE driver_id = 'DRV001'", "staff"),
    ],
)
async def test_what_must_end_first(container: Container, request_id: UUID, statement: str, told: str) -> None:
    async with container.database.begin() as uow:
        await _open(uow, statement)
    plan = await container.get(ErasureService).plan(request_id)
    assert told in " ".join(plan.blockers)
    with pytest.raises(ErasureBlocked, match=told):
        await erase(container, request_id)


async def test_staff_plan_decide_and_read_the_proof(container: Container, request_id: UUID) -> None:
    async with client_of(container, admin=True) as client:
        listed = (await client.get("/privacy/erasures", params={"status": "requested"})).json()
        plan = (await client.get(f"/privacy/erasures/{request_id}/plan")).json()
        begun = await client.post(f"/privacy/erasures/{request_id}/execute")
        late = await client.post(f"/privacy/erasures/{request_id}/refuse", json={"note": "no"})
        assert await container.get(ErasureService).run_begun() == 1
        state = (await client.get(f"/privacy/erasures/{request_id}")).json()
        proof = (await client.get(f"/privacy/proofs/{state['proof_id']}")).json()
        verdict = (await client.get(f"/privacy/proofs/{state['proof_id']}/verify")).json()
    assert [item["request_id"] for item in listed["items"]] == [str(request_id)]
    tables = {table["table"]: table for table in plan["tables"]}
    assert (tables["users"]["fate"], tables["users"]["to_change"]) == ("deleted", 1)
    assert (tables["policies"]["fate"], tables["policies"]["to_change"]) == ("kept", 0)
    assert (plan["archived_months"], plan["cache_keys"], plan["blockers"]) == ({str(OLD_MONTH): 60}, 2, [])
    assert (begun.status_code, begun.json()["status"]) == (202, "running")
    assert (late.status_code, late.json()["code"]) == (409, "erasure_closed")
    assert state["request"]["status"] == "done"
    assert all(step["done_at"] for step in state["steps"])
    assert proof["document"]["decided_by"] == "somebody"
    assert (verdict["holds"], verdict["problems"]) == (True, [])


async def test_a_plan_changes_nothing(container: Container, request_id: UUID, traces: Traces) -> None:
    before = await traces.in_tables()
    await container.get(ErasureService).plan(request_id)
    assert await traces.in_tables() == before
    assert len(await traces.in_redis()) == 2


async def test_a_request_is_declined_and_the_driver_goes_on(container: Container, request_id: UUID) -> None:
    async with client_of(container, admin=True) as client:
        refused = await client.post(f"/privacy/erasures/{request_id}/refuse", json={"note": "a claim is coming"})
        driver = (await client.get(f"/drivers/{ME}")).json()
        gone = await client.post(f"/privacy/erasures/{ids.new_uuid()}/execute")
    assert (refused.json()["status"], refused.json()["note"]) == ("refused", "a claim is coming")
    assert driver["status"] == "active"
    assert (gone.status_code, gone.json()["code"]) == (404, "erasure_not_found")
    with pytest.raises(ErasureClosed):
        await container.get(ErasureService).run(request_id)
    with pytest.raises(ProofNotFound):
        await container.get(ErasureService).verify(ids.new_uuid())


async def test_drivers_see_nothing_of_it(container: Container, request_id: UUID) -> None:
    async with client_of(container, driver_id=ME) as client:
        answers = [
            await client.get("/privacy/erasures"),
            await client.get(f"/privacy/erasures/{request_id}/plan"),
            await client.post(f"/privacy/erasures/{request_id}/execute"),
        ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]


async def test_journals_are_told_whom_to_forget(container: Container, request_id: UUID) -> None:
    told: list[tuple[str, str]] = []

    class Journal:
        async def forget(self, uow: UnitOfWork, kind: str, ident: str) -> int:
            told.append((kind, ident))
            return 3

    erasures = container.get(ErasureService)
    keepers = erasures.keepers
    erasures.keepers = type(keepers)(keepers.holdings, keepers.archive, keepers.cache, (Journal(),))
    proof = await erase(container, request_id)
    steps = {step["name"]: step["changed"] for step in proof.document["steps"]}
    assert [kind for kind, _ in told] == ["driver", "user"]
    assert told[0] == ("driver", ME)
    assert steps["journal:0"] == 6
    assert json.dumps(proof.document).count("Beeblebrox") == 0
