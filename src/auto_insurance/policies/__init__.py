"""Policies: lifecycle, terms, transactions, and the billing ledger."""
