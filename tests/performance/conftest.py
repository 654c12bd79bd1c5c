"""Systems under load."""

from __future__ import annotations

from tests.support.installations import demo_api, valkey_url

__all__ = ["demo_api", "valkey_url"]
