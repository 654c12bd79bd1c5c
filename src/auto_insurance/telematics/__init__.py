"""Telemetry: wire schema, validation, ingest, storage."""
