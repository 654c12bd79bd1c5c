"""Printable invoices, reminders and final notices. Pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from auto_insurance.policies.billing_dunning import DunningDays, Stage
from auto_insurance.policies.documents import Page, Row, Section, amount, day, render
from auto_insurance.policies.repository_billing import Invoice

_TITLES = {
    Stage.ISSUED: "Invoice",
    Stage.REMINDED: "Reminder",
    Stage.FINAL_NOTICE: "Final notice before cover stops",
    Stage.LAPSED: "Notice that cover has stopped",
}


def readable_number(number: int) -> str:
    """Return an invoice's number as people write it."""
    return f"INV-{number:06d}"


def invoice_html(invoice: Invoice, days: DunningDays) -> str:
    """Return the latest letter about an invoice: the invoice itself, or how far the reminding has gone."""
    stage = Stage.ISSUED if invoice.open_amount == 0 else Stage(invoice.stage)
    title = "Credit note" if invoice.amount < 0 else _TITLES[stage]
    rows = (*(Row(text, (Decimal(part),)) for text, part in invoice.lines), Row("Total", (invoice.amount,)))
    table = Section(
        heading="What it is for",
        caption=f"Amounts in {invoice.currency}",
        columns=("Item", "Amount"),
        rows=rows,
    )
    return render(
        Page(
            title=f"{title} {readable_number(invoice.number)}",
            subtitle=f"Policy {invoice.policy_id}, term {invoice.term}, written on {day(invoice.issued_on)}",
            sections=(table, Section(heading="What to do", paragraphs=_what_to_do(invoice, stage, days))),
            footer="Made from the stored invoice; the same invoice gives the same page.",
        )
    )


def _what_to_do(invoice: Invoice, stage: Stage, days: DunningDays) -> tuple[str, ...]:
    if invoice.amount < 0:
        return ("Nothing: the amount pays your next invoices, or goes back to you when your policy ends.",)
    if invoice.open_amount == 0:
        return ("Nothing: this invoice is paid. Thank you.",)
    left = amount(invoice.open_amount, invoice.currency)
    due = f"Please pay {left}. It was due on {day(invoice.due_on)}."
    if stage is Stage.ISSUED:
        return (f"Please pay {left} by {day(invoice.due_on)}.",)
    if stage is Stage.REMINDED:
        return (due, "If you have paid meanwhile, this letter has crossed your payment.")
    if stage is Stage.FINAL_NOTICE:
        # From when the letter was sent, or from the due date: whichever is later, as the cover really stops.
        stops = max(
            invoice.due_on + timedelta(days=days.lapse),
            invoice.stage_since + timedelta(days=days.lapse - days.final_notice),
        )
        return (due, f"If nothing is paid, your cover stops on {day(stops)}. You would drive without insurance then.")
    return (due, "Your cover has stopped for want of payment. Call us before you drive.")
