"""Invoices: what of a policy's price is to be paid when, and what came in for it.

An invoice is never changed. Everything that happens to a policy's invoices is ordered by the lock of its billing
account, so that two payments or a payment and an endorsement can't both use the same money.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import msgspec

from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.policies import billing, postings, repository_ledger
from auto_insurance.policies import repository_billing as repository
from auto_insurance.policies.billing_dunning import DunningDays, Stage
from auto_insurance.policies.invoices_documents import invoice_html
from auto_insurance.policies.ledger import new_entry
from auto_insurance.policies.ledger_errors import InvoiceNotFound
from auto_insurance.policies.postings import ZERO, EntryKind, InstalmentPlan
from auto_insurance.policies.repository_billing import Instalment, Invoice
from auto_insurance.policies.repository_ledger import TermRow

ISSUE_BATCH = 200
"""Terms that are invoiced in one transaction."""
Lines = tuple[tuple[str, str], ...]


class InvoiceOptions(msgspec.Struct, frozen=True):
    """``lead_days`` lie between an invoice and its due date; the fee is added to each instalment of a term that is
    not paid at once; ``dunning`` is for what letters say."""

    lead_days: int = 14
    instalment_fee: Decimal = ZERO
    dunning: DunningDays = DunningDays()


class Invoices:
    """Writes invoices and pays them."""

    def __init__(self, options: InvoiceOptions | None = None) -> None:
        self._options = options or InvoiceOptions()

    async def hold(self, uow: UnitOfWork, policy_id: str, currency: str) -> None:
        """Let nobody else bill or book for the policy until the transaction ends."""
        await repository.lock_account(uow, policy_id, currency)

    async def rebill(self, uow: UnitOfWork, row: TermRow, on: date) -> None:
        """Bring a term's instalments in line with what is to be billed, and invoice what is due by now."""
        await self.hold(uow, row.policy_id, row.currency)
        parts = await self._scheduled(uow, row)
        ends = max((part.to_on for part in row.position.segments), default=row.position.term.starts_on)
        # Nothing is asked for after the end of cover, except what is owed for the time before.
        coming = [part for part in parts if part.issued_on is None]
        usable = [part for part in coming if part.due_on < ends]
        already = await repository.invoiced(uow, row.policy_id, row.term)
        plan = billing.replan(row.billed, already, len(usable))
        amounts = dict(zip((part.seq for part in usable), plan.amounts, strict=True))
        changed = [msgspec.structs.replace(part, amount=amounts.get(part.seq, ZERO)) for part in coming]
        await repository.put_instalments(uow, changed)
        if plan.extra:
            await self.issue(uow, row, "adjustment", plan.extra, (("change of the premium", str(plan.extra)),), on, on)
        await self._issue_due(uow, row, changed, len(parts), on)

    async def issue_due(self, uow: UnitOfWork, policy_id: str, term: int, on: date) -> None:
        """Invoice the instalments of a term that are due soon enough."""
        row = await repository_ledger.get_term(uow, policy_id, term)
        if row is not None:
            await self.hold(uow, policy_id, row.currency)
            parts = await repository.instalments_of(uow, policy_id, term)
            await self._issue_due(uow, row, parts, len(parts), on)

    async def issue(
        self, uow: UnitOfWork, row: TermRow, kind: str, amount: Decimal, lines: Lines, scheduled: date, on: date
    ) -> Invoice:
        """Write an invoice, or a credit note for a negative amount, and use for it what came in before."""
        before = await repository.lock_account(uow, row.policy_id, row.currency)
        used = min(before, amount) if amount > 0 else ZERO
        invoice = Invoice(
            invoice_id=ids.new_uuid(),
            policy_id=row.policy_id,
            term=row.term,
            kind=kind,
            issued_on=on,
            due_on=billing.due_on(scheduled, on, self._options.lead_days),
            currency=row.currency,
            amount=amount,
            open_amount=max(amount, ZERO) - used,
            lines=lines,
            stage=Stage.ISSUED.value,
            stage_since=on,
            created_at=clock.now(),
        )
        number = await repository.add_invoice(uow, invoice)
        if used:
            await repository.set_unapplied(uow, row.policy_id, before - used)
        if amount < 0:
            await self.settle(uow, row.policy_id, -amount, row.currency)
        return msgspec.structs.replace(invoice, number=number)

    async def settle(self, uow: UnitOfWork, policy_id: str, amount: Decimal, currency: str) -> None:
        """Pay open invoices with what came in, the longest due first; what is left waits for the next one.

        A negative amount goes back to the policyholder: no more than has paid nothing.
        """
        available = await repository.lock_account(uow, policy_id, currency) + amount
        shares: Sequence[tuple[int, Decimal]] = ()
        if available > 0:
            shares, available = billing.allocate(await repository.open_invoices(uow, policy_id), available)
            await repository.pay_invoices(uow, shares)
        await repository.set_unapplied(uow, policy_id, available)

    async def listed(self, uow: UnitOfWork, policy_id: str, *, limit: int, offset: int) -> tuple[list[Invoice], int]:
        """Return invoices of a policy, newest first, and how many there are."""
        return await repository.list_invoices(uow, policy_id, limit=limit, offset=offset)

    async def html(self, uow: UnitOfWork, policy_id: str, number: int) -> str:
        """Return an invoice, or the latest letter about it, as a page. Raises ``InvoiceNotFound``."""
        invoice = await repository.get_invoice(uow, policy_id, number)
        if invoice is None:
            raise InvoiceNotFound("The policy has no such invoice.")
        return invoice_html(invoice, self._options.dunning)

    async def due(self, uow: UnitOfWork, policy_id: str) -> Decimal:
        """Return what is invoiced and not paid."""
        return sum((one.open_amount for one in await repository.open_invoices(uow, policy_id)), ZERO)

    async def _scheduled(self, uow: UnitOfWork, row: TermRow) -> list[Instalment]:
        """Return the term's instalments, made or made anew for another plan where they are not issued."""
        parts = await repository.instalments_of(uow, row.policy_id, row.term)
        wanted = billing.due_dates(row.position.term, InstalmentPlan(row.instalments))
        issued = [part for part in parts if part.issued_on is not None]
        last = issued[-1].due_on if issued else date.min
        coming = [day for day in wanted if day > last]
        if [part.due_on for part in parts[len(issued) :]] == coming:
            return parts
        await repository.drop_to_come(uow, row.policy_id, row.term)
        new = [
            Instalment(policy_id=row.policy_id, term=row.term, seq=seq, due_on=day, amount=ZERO)
            for seq, day in enumerate(coming, start=issued[-1].seq + 1 if issued else 1)
        ]
        await repository.put_instalments(uow, new)
        return issued + new

    async def _issue_due(self, uow: UnitOfWork, row: TermRow, parts: Sequence[Instalment], of: int, on: date) -> None:
        for part in parts:
            if part.issued_on is not None or billing.issue_on(part.due_on, self._options.lead_days) > on:
                continue
            done = msgspec.structs.replace(part, issued_on=on)
            if part.amount > 0:
                fee = self._options.instalment_fee if row.instalments != InstalmentPlan.ANNUAL else ZERO
                lines: Lines = ((f"instalment {part.seq} of {of}", str(part.amount)),)
                if fee:
                    lines = (*lines, ("instalment fee", str(fee)))
                    await self._book_fee(uow, row, part.seq, fee, on)
                invoice = await self.issue(uow, row, "instalment", part.amount + fee, lines, part.due_on, on)
                done = msgspec.structs.replace(done, invoice_id=invoice.invoice_id)
            await repository.put_instalments(uow, [done])

    async def _book_fee(self, uow: UnitOfWork, row: TermRow, seq: int, fee: Decimal, on: date) -> None:
        reference = f"instalment_fee:{row.policy_id}:{row.term}:{seq}"
        entry = new_entry(row, EntryKind.FEE, postings.fee(fee), reference, "instalment fee", on)
        await repository_ledger.add_entry(uow, entry)


async def issue_until(database: Database, invoices: Invoices, today: date, lead_days: int) -> int:
    """Write all invoices that are due soon enough, in small transactions. Returns of how many terms."""
    done = 0
    while True:
        async with database.begin() as uow:
            found = await repository.terms_to_invoice(uow, today + timedelta(days=lead_days), ISSUE_BATCH)
            for policy_id, term in found:
                await invoices.issue_due(uow, policy_id, term, today)
        done += len(found)
        if not found:
            return done
