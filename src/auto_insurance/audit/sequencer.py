"""Numbers the committed rows and chains them: one process at a time, after the commits, so that no writer waits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import structlog

from auto_insurance.audit import repository
from auto_insurance.audit.chain import START, Anchor, instant, link
from auto_insurance.audit.verifying import check_stretch
from auto_insurance.infra import metrics
from auto_insurance.infra.db.locks import leading
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock

log = structlog.get_logger(__name__)
CHAIN_LOCK = "audit_chain"
ANCHOR_LOCK = "audit_anchor"


@dataclass(frozen=True, slots=True)
class SequencerOptions:
    """Sizes of its steps, and where anchors go besides the database and the process's log."""

    batch_rows: int = 1_000
    """Rows per transaction."""
    batches: int = 50
    """Transactions per turn."""
    anchor_rows: int = 100_000
    """Rows that are verified per anchor at most."""
    anchor_file: Path | None = None


class AuditSequencer:
    """The scheduler's two jobs on the log: chain what waits, and verify and anchor what is chained."""

    def __init__(self, database: Database, options: SequencerOptions | None = None) -> None:
        self._database = database
        self._options = options or SequencerOptions()

    async def chain(self) -> int:
        """Chain what waits, in bounded steps; return how many rows, 0 also while another process does it."""
        done = 0
        for _ in range(self._options.batches):
            step = await self.chain_once()
            done += step
            if step < self._options.batch_rows:
                break
        return done

    async def chain_once(self) -> int:
        """Chain the oldest rows that wait; return how many."""
        async with leading(self._database, CHAIN_LOCK) as uow:
            if uow is None:
                return 0
            last = await repository.head(uow) or START
            links = []
            for row in await repository.waiting(uow, self._options.batch_rows):
                number = last.number + 1
                last = Anchor(number, link(last.hash, repository.chained(row, Anchor(number, b""))))
                links.append((row.id, last))
            if links:
                await repository.put_numbers(uow, links)
            metrics.AUDIT_ROWS_WAITING.set(await repository.count_waiting(uow))
        return len(links)

    async def anchor(self) -> Anchor | None:
        """Verify from the last anchor on and make a new one; None if there is nothing new or the chain is broken."""
        async with leading(self._database, ANCHOR_LOCK) as uow:
            made = None if uow is None else await self._anchor(uow)
        if made is not None:
            # The log goes to another machine: what is said there can't be taken back here.
            log.info("audit_anchor", number=made.number, hash=made.hash.hex())
            self._keep(made)
        return made

    async def _anchor(self, uow: UnitOfWork) -> Anchor | None:
        checked = await check_stretch(uow, None, self._options.anchor_rows)
        metrics.AUDIT_CHAIN_FAULTS.set(checked.verifier.found)
        if not checked.intact:
            first = checked.verifier.faults[0]
            log.error("audit_chain_broken", number=first.number, damage=first.damage.value, detail=first.detail)
            return None
        metrics.AUDIT_LAST_VERIFIED_TIMESTAMP_SECONDS.set(clock.now().timestamp())
        if checked.verifier.rows == 0:
            return None
        await repository.add_anchor(uow, checked.verifier.head, clock.now())
        return checked.verifier.head

    def _keep(self, made: Anchor) -> None:
        file = self._options.anchor_file
        if file is None:
            return
        line = json.dumps({"number": made.number, "hash": made.hash.hex(), "at": instant(clock.now())})
        try:
            with file.open("a", encoding="utf-8") as out:
                out.write(line + "\n")
        except OSError as error:
            log.warning("audit_anchor_file_failed", error=type(error).__name__)
