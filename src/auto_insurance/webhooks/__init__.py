"""Webhooks: domain events sent to the systems of others, signed, at least once."""
