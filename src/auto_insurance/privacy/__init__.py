"""Consents, export, erasure and retention over all domains."""
