"""Rewards: points as a ledger, rules as data, redemption as a premium credit."""
