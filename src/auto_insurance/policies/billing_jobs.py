"""What the scheduler does with money: earn, invoice, remind, state miles, give back. Each part may be cut off anywhere
and taken up again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Protocol

import msgspec
import structlog

from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel.errors import AppError, ErrorKind
from auto_insurance.policies import repository_billing
from auto_insurance.policies.billing_dunning import DunningDays, Stage, days_apart, next_stage, table
from auto_insurance.policies.invoices import Invoices, issue_until
from auto_insurance.policies.ledger import Ledger, earn_until
from auto_insurance.policies.payments_service import Payments, refund_all
from auto_insurance.policies.repository_billing import Invoice
from auto_insurance.policies.statements import Statements, state_until

log = structlog.get_logger(__name__)
DUNNING_BATCH = 100
UNPAID = "nonpayment"


class Lapser(Protocol):
    """Who lets cover stop. Raises an error of kind conflict if there is none."""

    async def lapse(self, uow: UnitOfWork, policy_id: str, on: date, reason: str) -> object: ...


class BillingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Days of billing; see the settings of the same names."""

    lead_days: int = 14
    settle_days: int = 5
    dunning: DunningDays = DunningDays()


class BillingJobs:
    """The daily work of billing."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        invoices: Invoices,
        payments: Payments,
        statements: Statements,
        policies: Lapser,
        options: BillingOptions | None = None,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._invoices = invoices
        self._payments = payments
        self._statements = statements
        self._policies = policies
        self._options = options or BillingOptions()

    async def run(self, today: date) -> dict[str, int]:
        """Do all that is due by a day. Returns how much of what was done; what fails is logged and tried next time."""
        options = self._options
        parts: dict[str, Callable[[], Awaitable[int]]] = {
            "earned": lambda: earn_until(self._database, self._ledger, today),
            "stated": lambda: state_until(self._database, self._statements, today, options.settle_days),
            "invoiced": lambda: issue_until(self._database, self._invoices, today, options.lead_days),
            "dunned": lambda: self.dun(today),
            "refunded": lambda: refund_all(self._database, self._payments, today),
        }
        done: dict[str, int] = {}
        for name, part in parts.items():
            try:
                done[name] = await part()
            except AppError as error:
                log.warning("billing_part_failed", part=name, cause=error.code)
        if any(done.values()):
            log.info("billing_done", **done)
        return done

    async def dun(self, today: date) -> int:
        """Take every unpaid invoice that is due for it one step further. Returns how many."""
        done = 0
        for stage, step in table(self._options.dunning).items():
            if step is None:
                continue
            due_until = today - timedelta(days=step.after_days)
            while True:
                async with self._database.begin() as uow:
                    found = await self._enter(uow, stage, due_until, today)
                done += found
                if found < DUNNING_BATCH:
                    break
        return done

    async def _enter(self, uow: UnitOfWork, stage: Stage, due_until: date, today: date) -> int:
        # Those that must still wait since the last notice are left out here, so that the batch is never all of them.
        since = today - timedelta(days=days_apart(stage, self._options.dunning))
        found = await repository_billing.dunned(uow, stage.value, due_until, since, DUNNING_BATCH)
        moved: dict[Stage, list[Invoice]] = {}
        for invoice in found:
            after = next_stage(stage, invoice.due_on, invoice.stage_since, today, self._options.dunning)
            if after is not None:
                moved.setdefault(after, []).append(invoice)
        for after, invoices in moved.items():
            await repository_billing.set_stage(uow, [one.number for one in invoices], after.value, today)
            if after is Stage.LAPSED:
                for policy_id in dict.fromkeys(one.policy_id for one in invoices):
                    await self._lapse(uow, policy_id, today)
        return len(found)

    async def _lapse(self, uow: UnitOfWork, policy_id: str, today: date) -> None:
        try:
            await self._policies.lapse(uow, policy_id, today, UNPAID)
        except AppError as error:
            # A policy that has ended already has nothing to lapse.
            if error.kind not in {ErrorKind.CONFLICT, ErrorKind.NOT_FOUND}:
                raise
            log.info("policy_not_lapsed", policy_id=policy_id, cause=error.code)
