"""Taking money and giving it back."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID, uuid5

import msgspec
import structlog

from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.kernel.errors import Unavailable
from auto_insurance.policies import repository_billing
from auto_insurance.policies import repository_payments as repository
from auto_insurance.policies.invoices import Invoices
from auto_insurance.policies.ledger import Ledger
from auto_insurance.policies.ledger_errors import NothingDue, PaymentNotFound, PaymentSettled
from auto_insurance.policies.payments import Callback, Outcome, PaymentProvider, PaymentStatus
from auto_insurance.policies.postings import EntryKind
from auto_insurance.policies.repository_payments import Payment

log = structlog.get_logger(__name__)
_NAMES = UUID("7d0c2f3e-54a1-4a0e-9f5b-0c6f0c1d8a11")
REFUND_BATCH = 100


class Payments:
    """Payments of invoices, and refunds of what was paid too much."""

    def __init__(self, ledger: Ledger, invoices: Invoices, provider: PaymentProvider) -> None:
        self._ledger = ledger
        self._invoices = invoices
        self._provider = provider

    @property
    def provider(self) -> PaymentProvider:
        """Who moves the money."""
        return self._provider

    async def pay(self, uow: UnitOfWork, policy_id: str, method: str, amount: Decimal | None, key: str) -> Payment:
        """Pay what is invoiced (or ``amount``, up to all that is owed) with a method's token.

        The same ``key`` of a policy is the same payment, also for the provider. Returns it whatever came of it. Raises
        ``NothingDue``, ``InvalidAmount``, and ``Unavailable`` when the provider can't be reached.
        """
        payment_id = uuid5(_NAMES, f"{policy_id}:{key}")
        balance = await self._ledger.balance(uow, policy_id)
        if balance.currency is None:
            raise NothingDue("Nothing is owed.")
        await repository_billing.lock_account(uow, policy_id, balance.currency)
        before = await repository.get_payment(uow, payment_id)
        if before is not None:
            return before
        due = await self._invoices.due(uow, policy_id)
        wanted = due if amount is None else amount
        if wanted <= 0 or wanted > max(due, balance.owed):
            raise NothingDue(f"Invoiced are {due} {balance.currency}, owed at most {max(due, balance.owed)}.")
        outcome = await self._provider.charge(payment_id, method, wanted, balance.currency)
        payment = self._payment(payment_id, policy_id, "payment", wanted, balance.currency, method, outcome)
        await repository.add_payment(uow, payment)
        await self._book(uow, payment)
        uow.note("payment", payment_id, policy=policy_id, amount=wanted, status=payment.status)
        log.info("payment_made", status=payment.status, provider=payment.provider)
        return payment

    async def called_back(self, uow: UnitOfWork, callback: Callback) -> Payment:
        """Take what the provider tells of a payment; the same again changes nothing.

        Raises ``PaymentNotFound`` and ``PaymentSettled`` for what contradicts an earlier end.
        """
        payment = await repository.get_payment(uow, callback.payment_id, lock=True)
        if payment is None or payment.provider != self._provider.name:
            raise PaymentNotFound("There is no such payment.")
        if payment.status == callback.status:
            return payment
        if payment.status != PaymentStatus.PENDING:
            raise PaymentSettled(f"The payment has {payment.status} already.")
        changed = msgspec.structs.replace(
            payment, status=callback.status.value, reason=callback.reason, changed_at=clock.now()
        )
        await self._store(uow, changed)
        uow.note("payment", payment.payment_id, status=[payment.status, changed.status], provider=payment.provider)
        return changed

    async def recent(self, uow: UnitOfWork, policy_id: str) -> list[Payment]:
        """Return the latest hundred payments and refunds of a policy."""
        return await repository.list_payments(uow, policy_id, 100)

    async def start_refunds(self, uow: UnitOfWork, on: date, after: str = "") -> str | None:
        """Note what goes back to those whose policy ended early. Returns where to go on, None at the end.

        No more goes back than was paid: credits that were given are not money.
        """
        found = await repository.overpaid(uow, on, after, REFUND_BATCH)
        for policy_id, currency, left in found:
            paid = await repository.last_paid(uow, policy_id)
            if paid is not None and min(left, paid[1]) > 0:
                waiting = Outcome(PaymentStatus.PENDING, "")
                refund_id, amount = ids.new_uuid(), min(left, paid[1])
                refund = self._payment(refund_id, policy_id, "refund", amount, currency, paid[0], waiting)
                await repository.add_payment(uow, refund)
        return found[-1][0] if len(found) == REFUND_BATCH else None

    async def make_refund(self, uow: UnitOfWork) -> bool:
        """Make one refund that waits; False if none does. Raises ``Unavailable`` as the provider does."""
        for refund in await repository.pending_refunds(uow, 1):
            left = await repository_billing.lock_account(uow, refund.policy_id, refund.currency)
            amount = min(refund.amount, left)
            if amount <= 0:
                # An endorsement or a fee has used the money meanwhile.
                await self._store(uow, msgspec.structs.replace(refund, status="failed", reason="nothing_left"))
                return True
            outcome = await self._provider.refund(refund.payment_id, refund.method, amount, refund.currency)
            await self._store(
                uow,
                msgspec.structs.replace(
                    refund,
                    amount=amount,
                    status=outcome.status.value,
                    reason=outcome.reason,
                    provider_reference=outcome.reference,
                ),
            )
            return True
        return False

    async def _store(self, uow: UnitOfWork, payment: Payment) -> None:
        await repository.set_payment(uow, payment, clock.now())
        await self._book(uow, payment)

    async def _book(self, uow: UnitOfWork, payment: Payment) -> None:
        if payment.status == PaymentStatus.SUCCEEDED:
            kind = EntryKind(payment.kind)
            reference = f"{payment.kind}:{payment.payment_id}"
            reason = f"{payment.kind} by {payment.provider}"
            await self._ledger.enter(uow, payment.policy_id, kind, payment.amount, reason=reason, reference=reference)

    def _payment(
        self, payment_id: UUID, policy_id: str, kind: str, amount: Decimal, currency: str, method: str, outcome: Outcome
    ) -> Payment:
        now = clock.now()
        return Payment(
            payment_id=payment_id,
            policy_id=policy_id,
            kind=kind,
            amount=amount,
            currency=currency,
            method=method,
            provider=self._provider.name,
            provider_reference=outcome.reference or None,
            status=outcome.status.value,
            reason=outcome.reason,
            created_at=now,
            changed_at=now,
        )


async def refund_all(database: Database, payments: Payments, today: date) -> int:
    """Note and make all refunds that are due, each in a transaction of its own. Returns how many were tried."""
    after: str | None = ""
    while after is not None:
        async with database.begin() as uow:
            after = await payments.start_refunds(uow, today, after)
    done = 0
    while True:
        try:
            async with database.begin() as uow:
                if not await payments.make_refund(uow):
                    return done
        except Unavailable as error:
            log.warning("refunds_wait", error=error.code)
            return done
        done += 1
