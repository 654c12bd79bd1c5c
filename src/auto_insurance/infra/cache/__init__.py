"""Answers kept as bytes that are ready to send: in this process, in Redis, made from PostgreSQL.

The door: ``keys`` declares, ``tiered`` reads, ``purging`` drops after a commit. Why so: docs/concepts/caching.md.
"""
