"""What policies, billing and the ledger hold of a driver."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Table, Text, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from auto_insurance.infra.db.holdings import Fate, Holding, Subject
from auto_insurance.policies.models import policies, policy_segments, policy_terms, policy_transactions
from auto_insurance.policies.models_billing import (
    billing_accounts,
    billing_instalments,
    invoices,
    mile_changes,
    payments,
    statements,
)
from auto_insurance.policies.models_ledger import ledger_entries, ledger_postings, ledger_rates, ledger_terms

_CONTRACT = "contract and its terms: kept by law until claims under it are barred; it holds ids, dates and amounts"
_BOOKS = "accounting law: ten years; it holds ids, dates and amounts"
_PERSONAL = ("date_of_birth", "licence_date", "postcode")


def _of_policies(table: Table) -> Callable[[Subject], ColumnElement[bool]]:
    return lambda s: table.c.policy_id == any_(bindparam(None, s.policy_ids, type_=ARRAY(Text), unique=True))


def without_person(column: ColumnElement[object]) -> ColumnElement[object]:
    """Return a JSON object without the facts that tell who somebody is."""
    for name in _PERSONAL:
        column = column.op("-")(name)
    return column


def _entries(subject: Subject) -> ColumnElement[bool]:
    mine = select(ledger_entries.c.entry_id).where(_of_policies(ledger_entries)(subject))
    return ledger_postings.c.entry_id.in_(mine)


HOLDINGS = (
    Holding(
        policy_segments,
        Fate.PSEUDONYMISED,
        f"{_CONTRACT}; dates of birth and licence and the postcode go",
        lambda s: _of_policies(policy_segments)(s) | (policy_segments.c.driver_id == s.driver_id),
        {
            "changes": without_person(policy_segments.c.changes),
            "facts": without_person(policy_segments.c.facts),
        },
    ),
    Holding(
        policy_transactions,
        Fate.PSEUDONYMISED,
        f"{_CONTRACT}; dates of birth and licence and the postcode go",
        _of_policies(policy_transactions),
        {"changes": without_person(policy_transactions.c.changes)},
    ),
    *(Holding(table, Fate.KEPT, _CONTRACT, _of_policies(table)) for table in (policies, policy_terms)),
    *(
        Holding(table, Fate.KEPT, _BOOKS, _of_policies(table))
        for table in (
            billing_accounts,
            billing_instalments,
            invoices,
            payments,
            statements,
            mile_changes,
            ledger_entries,
            ledger_rates,
            ledger_terms,
        )
    ),
    Holding(ledger_postings, Fate.KEPT, _BOOKS, _entries),
)
