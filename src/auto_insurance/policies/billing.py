"""How a term is paid for: instalments, their rounding and what changes them. Pure.

An amount is split evenly into whole cents; what rounding leaves over is in the first instalment. What has been
invoiced is never changed: a change of the premium falls on the instalments that are still to come, and if there are
none, or more has been invoiced than is due, on an invoice or a credit note of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal

import msgspec

from auto_insurance.kernel.money import CENT
from auto_insurance.policies.earning import Term, add_months
from auto_insurance.policies.postings import ZERO, InstalmentPlan

MONTHS_APART = {
    InstalmentPlan.ANNUAL: 12,
    InstalmentPlan.HALF_YEARLY: 6,
    InstalmentPlan.QUARTERLY: 3,
    InstalmentPlan.MONTHLY: 1,
}


class Replan(msgspec.Struct, frozen=True):
    """What becomes of the instalments to come, in order, and what is invoiced at once beside them.

    ``extra`` is positive for an invoice, negative for a credit note, 0 for neither.
    """

    amounts: tuple[Decimal, ...]
    extra: Decimal = ZERO


class OpenInvoice(msgspec.Struct, frozen=True):
    """What is still to be paid of an invoice."""

    due_on: date
    number: int
    open_amount: Decimal


def due_dates(term: Term, plan: InstalmentPlan) -> tuple[date, ...]:
    """Return the days on which a term is paid for: its first day and every so many months on, within the term."""
    step = MONTHS_APART[plan]
    return tuple(add_months(term.starts_on, months, term.starts_on.day) for months in range(0, term.months, step))


def split(amount: Decimal, parts: int) -> tuple[Decimal, ...]:
    """Return an amount of whole cents in equal parts, the remainder of rounding in the first. ``parts`` >= 1."""
    each = (amount / parts).quantize(CENT, ROUND_DOWN)
    return (amount - each * (parts - 1), *([each] * (parts - 1)))


def replan(billed: Decimal, invoiced: Decimal, to_come: int) -> Replan:
    """Return how a term goes on to be paid for.

    ``billed`` is what the term costs now, ``invoiced`` the sum of its invoices and credit notes, ``to_come`` how many
    instalments are not invoiced yet.
    """
    remaining = billed - invoiced
    if remaining < 0 or to_come == 0:
        return Replan((ZERO,) * to_come, remaining)
    return Replan(split(remaining, to_come))


def allocate(invoices: Sequence[OpenInvoice], amount: Decimal) -> tuple[list[tuple[int, Decimal]], Decimal]:
    """Return what each invoice (by number) gets of an amount, the longest due first, and what is left over."""
    shares: list[tuple[int, Decimal]] = []
    for invoice in sorted(invoices, key=lambda one: (one.due_on, one.number)):
        share = min(invoice.open_amount, amount)
        if share > 0:
            shares.append((invoice.number, share))
            amount -= share
    return shares, amount


def issue_on(due_on: date, lead_days: int) -> date:
    """Return the day on which an instalment is invoiced."""
    return due_on - timedelta(days=lead_days)


def due_on(scheduled: date, issued_on: date, lead_days: int) -> date:
    """Return the day until which an invoice is to be paid: never sooner than ``lead_days`` after it was written."""
    return max(scheduled, issued_on + timedelta(days=lead_days))
