"""Systems for tests of faults."""

from __future__ import annotations

from tests.support.installations import new_system

__all__ = ["new_system"]
