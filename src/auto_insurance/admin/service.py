"""The operators' side: figures, the book, operations. Writes nothing itself: actions call the domains' services."""

from __future__ import annotations

from auto_insurance.admin.book import BookDesk
from auto_insurance.admin.dashboard import Dashboard
from auto_insurance.admin.exports import Exports
from auto_insurance.admin.operations import Operations

__all__ = ["BookDesk", "Dashboard", "Exports", "Operations"]
