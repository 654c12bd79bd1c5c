"""Systems for end-to-end tests."""

from __future__ import annotations

from tests.support.installations import demo_api, new_system, shared_system, valkey_url

__all__ = ["demo_api", "new_system", "shared_system", "valkey_url"]
