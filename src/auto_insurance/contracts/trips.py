"""Events on the topic ``trips``, keyed by driver."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

TRIP_COMPLETED = "trip.completed"
TRIP_AMENDED = "trip.amended"
TRIP_WITHDRAWN = "trip.withdrawn"


class TripChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of all three: the trip's facts as they are now; consumers read details from the trips service.

    ``revision`` counts from 1 at completion. A withdrawn trip no longer exists: late events merged it into
    another or showed that nobody drove.
    """

    trip_id: UUID
    driver_id: str
    device_id: str
    revision: int
    start_time: datetime
    end_time: datetime
    distance_miles: float
    reason: str
    """``completed``, ``late_events``, ``merged``, ``dispute``."""
