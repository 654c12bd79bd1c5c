"""Rows and calls of the ledger and of billing, for the judgement of their plans."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from auto_insurance.kernel import ids
from auto_insurance.policies.earning import Segment, new_term
from auto_insurance.policies.postings import Account, EntryKind, MileRate, Position, Posting, Side
from auto_insurance.policies.repository_billing import Instalment, Invoice
from auto_insurance.policies.repository_ledger import Entry, TermRow
from auto_insurance.policies.repository_payments import Payment
from auto_insurance.policies.repository_statements import Statement

NOW = datetime.now(UTC)
TODAY = NOW.date()
ONE = Decimal(1)
POLICY = "POL-000042"
POLICIES = [POLICY, "POL-000043"]
NUMBER = "'POL-' || lpad((i % 5000)::text, 6, '0')"
MONTH = TODAY.replace(day=1)

ROWS: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("ledger_terms", 5_000, {
        "policy_id": NUMBER, "term": "1", "driver_id": "'DRV' || lpad(i::text, 5, '0')", "months": "12",
        "starts_on": "current_date - 500 + i % 400", "ends_on": "current_date - 135 + i % 400", "segments": "'[]'",
        "earned_to": "current_date - (i % 50 = 0)::int", "earns_to": "current_date - 135 + i % 400",
        "instalments": "'monthly'",
    }),
    ("ledger_entries", 20_000, {
        "entry_id": "md5('entry' || i)::uuid", "policy_id": NUMBER, "kind": "'earning'", "reference": "'e' || i",
    }),
    ("ledger_postings", 40_000, {
        "entry_id": "md5('entry' || (i % 20000 + 1))::uuid", "seq": "i / 20000 + 1", "amount": "1.00",
        "account": "'cash'", "side": "CASE WHEN i < 20000 THEN 'debit' ELSE 'credit' END", "currency": "'USD'",
    }),
    ("ledger_rates", 5_000, {"policy_id": NUMBER, "from_on": "current_date - 500 + i % 400"}),
    ("billing_accounts", 5_000, {"policy_id": NUMBER, "unapplied": "(i % 100 = 0)::int", "currency": "'USD'"}),
    ("billing_instalments", 50_000, {
        "policy_id": NUMBER, "term": "1", "seq": "i / 5000 + 1", "due_on": "current_date + i % 400 - 350",
        "issued_on": "CASE WHEN i % 20 > 0 THEN current_date END", "amount": "10.00",
    }),
    ("invoices", 20_000, {
        "invoice_id": "md5('invoice' || i)::uuid", "policy_id": NUMBER, "kind": "'instalment'", "amount": "10.00",
        "open_amount": "CASE WHEN i % 50 = 0 THEN 10.00 ELSE 0 END", "stage": "'issued'", "lines": "'[]'",
        "due_on": "current_date - i % 400", "stage_since": "current_date - i % 400",
    }),
    ("payments", 20_000, {
        "payment_id": "md5('payment' || i)::uuid", "policy_id": "'POL-' || lpad(i::text, 6, '0')", "amount": "10.00",
        "kind": "CASE WHEN i % 100 = 0 THEN 'refund' ELSE 'payment' END", "currency": "'USD'",
        "status": "CASE WHEN i % 500 = 0 THEN 'pending' ELSE 'succeeded' END",
    }),
    ("statements", 20_000, {
        "statement_id": "md5('statement' || i)::uuid", "policy_id": NUMBER, "days": "'[]'", "corrections": "'[]'",
        "month": "(date_trunc('month', current_date) - i / 5000 * interval '1 month')::date",
    }),
    ("mile_changes", 5_000, {"policy_id": NUMBER, "on_day": "current_date - 40"}),
    ("idempotency_keys", 5_000, {
        "owner": "'o'", "key": "'k' || i", "status": "200", "created_at": "now() - i * interval '1 min'",
    }),
)  # fmt: skip


def _uuid(kind: str) -> UUID:
    return UUID(hashlib.md5(f"{kind}42".encode(), usedforsecurity=False).hexdigest())


def _term() -> TermRow:
    term = new_term(TODAY, 12)
    position = Position(term=term, segments=(Segment(term.starts_on, term.ends_on, ONE),), earned_to=TODAY)
    return TermRow(
        policy_id="POL-900000", term=1, driver_id="DRV00042", currency="USD", position=position, billed=ONE,
        instalments="annual",
    )  # fmt: skip


def _entry() -> Entry:
    lines = (Posting(Account.CASH, Side.DEBIT, ONE), Posting(Account.FEES, Side.CREDIT, ONE))
    return Entry(
        entry_id=ids.new_uuid(), policy_id=POLICY, term=1, transaction_id=None, booked_on=TODAY, effective_on=TODAY,
        kind=EntryKind.FEE, reason="", reference="new", created_at=NOW, currency="USD", postings=lines,
    )  # fmt: skip


def _payment() -> Payment:
    return Payment(
        payment_id=ids.new_uuid(), policy_id=POLICY, kind="payment", amount=ONE, currency="USD", method="t",
        provider="local", provider_reference=None, status="succeeded", reason="", created_at=NOW, changed_at=NOW,
    )  # fmt: skip


def _invoice() -> Invoice:
    return Invoice(
        invoice_id=ids.new_uuid(), policy_id=POLICY, term=1, kind="usage", issued_on=TODAY, due_on=TODAY,
        currency="USD", amount=ONE, open_amount=ONE, lines=(), stage="issued", stage_since=TODAY, created_at=NOW,
    )  # fmt: skip


def _statement() -> Statement:
    return Statement(
        statement_id=ids.new_uuid(), policy_id="POL-900000", driver_id="DRV00042", month=MONTH, currency="USD",
        miles=ONE, charged_miles=ONE, amount=ONE, days=(), corrections=(), created_at=NOW,
    )  # fmt: skip


_ONE: Mapping[str, Any] = {"policy_id": POLICY}
_ON: Mapping[str, Any] = {"policy_id": POLICY, "on": TODAY}
_IN_TERM: Mapping[str, Any] = {"policy_id": POLICY, "term": 1}
_MANY: Mapping[str, Any] = {"policy_ids": POLICIES}
_LEDGER: Mapping[str, Mapping[str, Any]] = {
    "get_term": _IN_TERM,
    "terms_of": _ONE,
    "terms_of_many": _MANY,
    "latest_term": _ON,
    "put_term": {"row": _term()},
    "has_entry": {"reference": "e42"},
    "add_entry": {"entry": _entry()},
    "earn_due": {"on": TODAY, "at": NOW, "limit": 100},
    "oldest_unearned": {"on": TODAY},
    "sums": _ON,
    "list_entries": _ONE,
    "replace_rates": {**_ONE, "period": new_term(TODAY, 12), "rates": [MileRate(TODAY, ONE)]},
    "rates_of": _MANY,
    "policies_after": {"after": POLICY, "limit": 100},
}
_BILLING: Mapping[str, Mapping[str, Any]] = {
    "lock_account": {**_ONE, "currency": "USD"},
    "set_unapplied": {**_ONE, "amount": ONE},
    "unapplied_of": _ONE,
    "instalments_of": _IN_TERM,
    "put_instalments": {
        "parts": [Instalment(policy_id="POL-900000", term=1, seq=1, due_on=TODAY, amount=ONE)],
    },
    "drop_to_come": _IN_TERM,
    "terms_to_invoice": {"until": TODAY - timedelta(days=340), "limit": 100},
    "to_come": _ONE,
    "add_invoice": {"invoice": _invoice()},
    "invoiced": _IN_TERM,
    "open_invoices": _ONE,
    "pay_invoices": {"shares": [(42, Decimal(0))]},
    "list_invoices": _ONE,
    "get_invoice": {**_ONE, "number": 42},
    "dunned": {"stage": "issued", "due_until": TODAY - timedelta(days=300), "since": TODAY, "limit": 100},
    "set_stage": {"numbers": [42], "stage": "reminded", "on": TODAY},
}
_PAYMENTS: Mapping[str, Mapping[str, Any]] = {
    "add_payment": {"payment": _payment()},
    "get_payment": {"payment_id": _uuid("payment")},
    "set_payment": {"payment": _payment(), "at": NOW},
    "list_payments": {**_ONE, "limit": 100},
    "last_paid": _ONE,
    "overpaid": {"on": TODAY, "after": POLICY, "limit": 100},
    "pending_refunds": {"limit": 1},
}
_STATEMENTS: Mapping[str, Mapping[str, Any]] = {
    "add_statement": {"statement": _statement()},
    "list_statements": _ONE,
    "without_statement": {"month": MONTH, "next_month": TODAY, "after": POLICY, "limit": 100},
    "first_rate": {},
    "note_changes": {"driver_id": "DRV00042", "days": [TODAY], "reason": "late", "at": NOW},
    "take_changes": {**_ONE, "before": TODAY},
}
_VERIFY = dict.fromkeys(("unbalanced", "account_sums", "billing_sums", "stated_sums"), _MANY)
CALLS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    f"policies.repository_{module}.{name}": (arguments,)
    for module, functions in (
        ("ledger", _LEDGER),
        ("billing", _BILLING),
        ("payments", _PAYMENTS),
        ("statements", _STATEMENTS),
        ("verify", _VERIFY),
    )
    for name, arguments in functions.items()
}
"""Arguments of every function of the repositories of money."""
