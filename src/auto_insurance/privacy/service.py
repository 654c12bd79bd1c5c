"""Use cases of erasure: look at requests, plan, carry out, prove, verify."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog

from auto_insurance.drivers.schemas import ErasureRequest
from auto_insurance.drivers.service import ErasureDesk
from auto_insurance.infra.db import holdings as holding_sql
from auto_insurance.infra.db import locks
from auto_insurance.infra.db.holdings import Fate, Holding, Subject
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.privacy import queries, repository
from auto_insurance.privacy.errors import ErasureBlocked, ErasureBusy, ErasureClosed, ProofNotFound
from auto_insurance.privacy.export import ExportService
from auto_insurance.privacy.repository import ProofRow, StepRow
from auto_insurance.privacy.retention import RetentionOptions, RetentionService
from auto_insurance.privacy.schemas import ErasurePlan, ErasureState, ErasureStep, PlannedTable, Proof, Verdict
from auto_insurance.privacy.steps import Forgetter, Keepers, OnStep, Steps

__all__ = [
    "ErasureOptions",
    "ErasureService",
    "ExportService",
    "Forgetter",
    "Keepers",
    "RetentionOptions",
    "RetentionService",
]
log = structlog.get_logger(__name__)
MODELS = "Trained models stay as they are: they hold coefficients and tables of a whole book, and no driver's data."
_PROOFS = "erasure-proofs"


@dataclass(frozen=True, slots=True)
class ErasureOptions:
    """``log_days``: how long the event log keeps a record at most; ``engine``: which log that is."""

    engine: str = "postgres"
    log_days: int = 30

    def gone_by(self, at: datetime) -> datetime:
        """Return when the last record that was in the log at an instant has gone: a segment closes within a day."""
        return at + timedelta(days=self.log_days + 1)

    def told(self) -> str:
        """Return what is said of the log."""
        how = "its partitions are dropped" if self.engine == "postgres" else "Kafka deletes its segments"
        return (
            f"Records of the event log are read no more and expire: {how} within {self.log_days + 1} days. Late events "
            "of the devices are not stored."
        )


class ErasureService:
    """Erases drivers. Every method opens transactions of its own."""

    def __init__(
        self, database: Database, keepers: Keepers, desk: ErasureDesk, options: ErasureOptions | None = None
    ) -> None:
        self._database = database
        self.keepers = keepers
        self._desk = desk
        self._options = options or ErasureOptions()

    async def plan(self, request_id: UUID) -> ErasurePlan:
        """Return what carrying a request out would do; nothing changes. Raises ``ErasureNotFound``."""
        async with self._database.read() as uow:
            request = await self._desk.get(uow, request_id)
            subject = await self._subject(uow, request)
            blockers = await queries.blockers(uow, request.driver_id)
            tables = [await _planned(uow, holding, subject) for holding in self.keepers.holdings]
        archived = await self.keepers.archive.holds(request.driver_id)
        return ErasurePlan(
            request_id=request_id,
            driver_id=request.driver_id,
            blockers=blockers,
            tables=tables,
            archived_months={str(month): rows for month, rows in archived.items()},
            cache_keys=await self.keepers.cache.count(subject.names),
            log=self._options.told(),
            models=MODELS,
        )

    async def state(self, uow: UnitOfWork, request_id: UUID) -> ErasureState:
        """Return a request with how far its erasure is. Raises ``ErasureNotFound``."""
        request = await self._desk.get(uow, request_id)
        proof = await repository.proof_of(uow, request_id)
        steps = (await repository.steps_of(uow, request_id)).values()
        return ErasureState(
            request=request,
            steps=[ErasureStep(name=step.name, changed=step.changed, done_at=step.done_at) for step in steps],
            proof_id=None if proof is None else proof.proof_id,
        )

    async def begin(self, uow: UnitOfWork, request_id: UUID, *, by: str) -> ErasureRequest:
        """Close the doors and note by whom; :meth:`run` does the rest.

        Raises ``ErasureNotFound``, ``ErasureClosed``, and ``ErasureBlocked`` while a policy, a claim or a debt is open.
        """
        request = await self._desk.get(uow, request_id)
        if request.status == "requested":
            blockers = await queries.blockers(uow, request.driver_id)
            if blockers:
                raise ErasureBlocked(" ".join(blockers))
        subject = await self._subject(uow, request)
        return await self._desk.begin(uow, request_id, msgspec.to_builtins(subject), decided_by=by)

    async def run(self, request_id: UUID, on_step: OnStep = lambda name, rows: None) -> Proof:
        """Carry out an erasure that was begun, from where an earlier attempt stopped; return its proof.

        Raises ``ErasureNotFound``, ``ErasureClosed`` if it was not begun, ``ErasureBusy``, ``ErasureIncomplete``, and
        what the archive raises while somebody works on a month; whatever it is, trying again goes on.
        """
        async with locks.held(self._database, f"erasure:{request_id}") as mine:
            if not mine:
                raise ErasureBusy
            async with self._database.read() as uow:
                request = await self._desk.get(uow, request_id)
                made = await repository.proof_of(uow, request_id)
                known = await self._desk.subject(uow, request_id)
            if made is not None:
                return _proof(made)
            if request.status != "running" or known is None:
                raise ErasureClosed("Nobody has decided to carry this request out.")
            subject = msgspec.convert(known, Subject)
            steps = await Steps(self._database, self.keepers, request_id, subject, on_step).run()
            async with self._database.begin() as uow:
                return await self._prove(uow, request, steps)

    async def run_begun(self, limit: int = 10) -> int:
        """Carry out erasures that were begun, the oldest first; returns how many. One that fails keeps no other."""
        async with self._database.read() as uow:
            waiting, _ = await self._desk.requests(uow, "running", limit=limit, offset=0)
        done = 0
        for request in waiting:
            try:
                await self.run(request.request_id)
            except ErasureBusy:
                continue
            except Exception:
                log.exception("erasure_stopped", request_id=str(request.request_id))
                continue
            done += 1
        return done

    async def proof(self, uow: UnitOfWork, proof_id: UUID) -> Proof:
        """Return a proof. Raises ``ProofNotFound``."""
        return _proof(await _stored(uow, proof_id))

    async def verify(self, proof_id: UUID) -> Verdict:
        """Check that a proof is as it was made, and that what it says is still so. Raises ``ProofNotFound``."""
        async with self._database.read() as uow:
            row = await _stored(uow, proof_id)
            problems = await _chain_faults(uow, row)
            devices = await self._desk.current_devices(uow, row.driver_id)
            subject = await queries.subject_of(uow, row.driver_id, devices)
            for holding in self.keepers.holdings:
                left = await holding_sql.remaining(uow, holding, subject)
                if left:
                    problems.append(f"{holding.name} holds {left} rows of the driver again.")
        for month, rows in (await self.keepers.archive.holds(row.driver_id)).items():
            problems.append(f"The archive of {month} holds {rows} events of the driver.")
        return Verdict(
            proof_id=proof_id, holds=not problems, problems=problems, tables_checked=len(self.keepers.holdings)
        )

    async def sweep(self, driver_id: str) -> int:
        """Erase again what came of events that were under way for an erased driver; returns how many rows."""
        async with self._database.read() as uow:
            devices = await self._desk.current_devices(uow, driver_id)
            subject = await queries.subject_of(uow, driver_id, devices)
        changed = 0
        for holding in self.keepers.holdings:
            rows = 1
            while rows:
                async with self._database.begin() as uow:
                    rows = await holding_sql.erase(uow, holding, subject)
                changed += rows
        return changed

    async def _subject(self, uow: UnitOfWork, request: ErasureRequest) -> Subject:
        devices = await self._desk.current_devices(uow, request.driver_id)
        return await queries.subject_of(uow, request.driver_id, devices)

    async def _prove(self, uow: UnitOfWork, request: ErasureRequest, steps: Mapping[str, StepRow]) -> Proof:
        await locks.lock(uow, _PROOFS)
        last = await repository.last_proof(uow)
        now = clock.now()
        document = {
            "request_id": str(request.request_id),
            "driver_id": request.driver_id,
            "requested_at": request.requested_at.isoformat(),
            "begun_at": None if request.started_at is None else request.started_at.isoformat(),
            "finished_at": now.isoformat(),
            "decided_by": request.decided_by,
            "steps": [self._told(step) for step in steps.values()],
            "event_log": {"engine": self._options.engine, "gone_by": self._options.gone_by(now).isoformat()},
            "models": MODELS,
            "previous": None if last is None else last.sha256,
        }
        text = canonical(document)
        row = ProofRow(
            proof_id=ids.new_uuid(),
            number=1 if last is None else last.number + 1,
            request_id=request.request_id,
            driver_id=request.driver_id,
            document=text,
            sha256=digest(text),
            previous=None if last is None else last.sha256,
            made_at=now,
        )
        await repository.add_proof(uow, row)
        await self._desk.finish(uow, request.request_id)
        log.info("erasure_done", driver_id=request.driver_id, proof_id=str(row.proof_id))
        return _proof(row)

    def _told(self, step: StepRow) -> dict[str, Any]:
        found = {f"table:{holding.name}": holding for holding in self.keepers.holdings}.get(step.name)
        about = {} if found is None else {"fate": found.fate.value, "why": found.why}
        return {"name": step.name, **about, "before": step.before, "after": step.after, "changed": step.changed}


def canonical(document: Mapping[str, Any]) -> str:
    """Return the text whose digest is taken: JSON with sorted keys and without blanks."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


async def _planned(uow: UnitOfWork, holding: Holding, subject: Subject) -> PlannedTable:
    there = await holding_sql.content(uow, holding, subject)
    change = await holding_sql.remaining(uow, holding, subject) if holding.fate is not Fate.KEPT else 0
    return PlannedTable(table=holding.name, fate=holding.fate.value, why=holding.why, rows=there.rows, to_change=change)


async def _stored(uow: UnitOfWork, proof_id: UUID) -> ProofRow:
    row = await repository.get_proof(uow, proof_id)
    if row is None:
        raise ProofNotFound
    return row


async def _chain_faults(uow: UnitOfWork, row: ProofRow) -> list[str]:
    """Return where a proof, or its place between its neighbours, is not as it was made."""
    faults = []
    if digest(row.document) != row.sha256:
        faults.append("The document is not the one whose digest was stored.")
    if json.loads(row.document).get("previous") != row.previous:
        faults.append("The document names another proof before it.")
    before = None if row.number == 1 else await repository.proof_numbered(uow, row.number - 1)
    if row.number > 1 and before is None:
        faults.append("The proof before it is gone.")
    if (None if before is None else before.sha256) != row.previous:
        faults.append("The proof before it is not the one that was there.")
    after = await repository.proof_numbered(uow, row.number + 1)
    if after is not None and after.previous != row.sha256:
        faults.append("The proof after it rests on another one.")
    return faults


def _proof(row: ProofRow) -> Proof:
    return Proof(
        proof_id=row.proof_id,
        number=row.number,
        request_id=row.request_id,
        driver_id=row.driver_id,
        made_at=row.made_at,
        sha256=row.sha256,
        previous=row.previous,
        document=json.loads(row.document),
    )
