"""Requests that leave no row, each with its reason; a test holds every route that changes anything against this."""

from __future__ import annotations

_PREFIX = "/api/v1"
EXEMPT: dict[str, str] = {
    f"POST {_PREFIX}/telematics/events": "device uploads: the event log is their record, with sender and time",
    f"POST {_PREFIX}/telematics/events/batch": "device uploads: as above",
}
"""By method and route template."""
