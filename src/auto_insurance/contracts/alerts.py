"""Events on the topic ``alerts``, keyed by driver."""

from __future__ import annotations

from datetime import datetime

import msgspec

CRASH_REPORTED = "crash.reported"


class CrashReported(msgspec.Struct, frozen=True, kw_only=True):
    """A device says that it crashed. The telemetry around it is found by device and time."""

    driver_id: str
    device_id: str
    event_id: str
    occurred_at: datetime
    received_at: datetime
