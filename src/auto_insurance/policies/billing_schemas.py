"""Forms in which HTTP clients see invoices, payments, statements and the ledger."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from auto_insurance.policies.invoices_documents import readable_number
from auto_insurance.policies.ledger import Balance
from auto_insurance.policies.payments import PaymentStatus
from auto_insurance.policies.postings import Account, EntryKind, Side
from auto_insurance.policies.repository_billing import Invoice
from auto_insurance.policies.repository_ledger import Entry
from auto_insurance.policies.repository_payments import Payment
from auto_insurance.policies.repository_statements import Statement
from auto_insurance.pricing.schemas import Money


class InvoiceLineOut(BaseModel):
    """A line of an invoice."""

    text: str
    amount: Money


class InvoiceOut(BaseModel):
    """An invoice, or a credit note if its amount is negative."""

    invoice_id: UUID
    number: int = Field(description="Also in the address of its document.")
    name: str = Field(examples=["INV-000042"])
    policy_id: str
    term: int
    kind: str = Field(description="instalment, adjustment (a change of the premium) or usage (miles of a month).")
    issued_on: date
    due_on: date
    currency: str
    amount: Money
    open_amount: Money = Field(description="What is still to be paid.")
    is_paid: bool
    stage: str = Field(description="How far reminding has gone: issued, reminded, final_notice, lapsed.")
    lines: list[InvoiceLineOut]

    @classmethod
    def of(cls, invoice: Invoice) -> Self:
        """Build the answer from a stored invoice."""
        names = set(cls.model_fields) - {"name", "is_paid", "lines"}
        return cls(
            **{name: getattr(invoice, name) for name in names},
            name=readable_number(invoice.number),
            is_paid=invoice.open_amount == 0,
            lines=[InvoiceLineOut(text=text, amount=Decimal(amount)) for text, amount in invoice.lines],
        )


class PostingOut(BaseModel):
    """A line of an entry."""

    account: Account
    side: Side
    amount: Money


class EntryOut(BaseModel):
    """An entry of the ledger: its debits are its credits."""

    entry_id: UUID
    term: int
    transaction_id: str | None
    booked_on: date
    effective_on: date
    kind: EntryKind
    reason: str
    currency: str
    postings: list[PostingOut]
    created_at: datetime

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Build the answer from a stored entry."""
        lines = [PostingOut(account=one.account, side=one.side, amount=one.amount) for one in entry.postings]
        return cls(
            **{name: getattr(entry, name) for name in set(cls.model_fields) - {"postings"}},
            postings=lines,
        )


class BalanceOut(BaseModel):
    """How a policy stands with its money today."""

    policy_id: str
    currency: str | None
    owed: Money = Field(description="Of all that is written, what is not paid; negative: what goes back.")
    due: Money = Field(description="Of that, what is invoiced.")
    earned_premium: Money
    unearned_premium: Money
    accounts: dict[Account, Money] = Field(description="Debits less credits of each account.")

    @classmethod
    def of(cls, policy_id: str, balance: Balance, due: Decimal) -> Self:
        """Build the answer from the accounts."""
        return cls(
            policy_id=policy_id,
            currency=balance.currency,
            owed=balance.owed,
            due=due,
            earned_premium=balance.earned,
            unearned_premium=balance.unearned,
            accounts=dict(balance.accounts),
        )


class StatementDayOut(BaseModel):
    """A day with miles."""

    on: date
    miles: float
    charged_miles: float = Field(description="At most the daily cap.")
    rate_per_mile: str
    amount: Money


class CorrectionOut(BaseModel):
    """A day of an earlier month of which more is known now."""

    on: date
    reason: str
    miles_before: float
    miles_now: float
    amount: Money


class StatementOut(BaseModel):
    """The miles of a month and what they cost. It is final: what comes later is corrected on the next."""

    statement_id: UUID
    policy_id: str
    month: date = Field(description="The first day of the month.")
    currency: str
    miles: float
    charged_miles: float
    amount: Money = Field(description="With the corrections.")
    days: list[StatementDayOut]
    corrections: list[CorrectionOut]
    created_at: datetime

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Build the answer from a stored statement."""
        plain = ("statement_id", "policy_id", "month", "currency", "amount", "created_at")
        return cls(
            **{name: getattr(statement, name) for name in plain},
            miles=float(statement.miles),
            charged_miles=float(statement.charged_miles),
            days=[
                StatementDayOut(
                    on=one.on,
                    miles=float(one.miles),
                    charged_miles=float(one.charged_miles),
                    rate_per_mile=str(one.rate_per_mile),
                    amount=one.amount,
                )
                for one in statement.days
            ],
            corrections=[
                CorrectionOut(
                    on=one.on,
                    reason=one.reason,
                    miles_before=float(one.miles_before),
                    miles_now=float(one.miles_now),
                    amount=one.amount,
                )
                for one in statement.corrections
            ],
        )


class PaymentIn(BaseModel):
    """A payment to make."""

    model_config = ConfigDict(extra="forbid")

    method: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9_-]{4,200}$",
            description="The payment provider's token of a card or account; never a number of one.",
            examples=["tok_visa"],
        ),
    ]
    amount: Annotated[
        Decimal | None,
        Field(gt=0, le=1_000_000, decimal_places=2, description="By default all that is invoiced and not paid."),
    ] = None


class PaymentOut(BaseModel):
    """A payment or refund."""

    payment_id: UUID
    policy_id: str
    kind: str = Field(description="payment or refund.")
    amount: Money
    currency: str
    status: PaymentStatus
    reason: str = Field(description="Why it failed, such as declined; else empty.")
    created_at: datetime

    @classmethod
    def of(cls, payment: Payment) -> Self:
        """Build the answer from a stored payment: without the token."""
        return cls(**{name: getattr(payment, name) for name in cls.model_fields})


class PaymentsOut(BaseModel):
    """The latest hundred payments and refunds, newest first."""

    items: list[PaymentOut]


class CallbackOut(BaseModel):
    """How the payment stands after a callback."""

    payment_id: UUID
    status: PaymentStatus
