"""Systems for end-to-end tests."""

from __future__ import annotations

from tests.support.installations import new_system, shared_system, valkey_url

__all__ = ["new_system", "shared_system", "valkey_url"]
