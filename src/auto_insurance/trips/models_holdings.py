"""What trips hold of a driver."""

from __future__ import annotations

from sqlalchemy import select

from auto_insurance.infra.db.holdings import Fate, Holding
from auto_insurance.trips.models import device_trip_marks, device_trip_state, trip_events, trips
from auto_insurance.trips.models_disputes import trip_disputes

HOLDINGS = (
    Holding(
        trip_events,
        Fate.DELETED,
        "what happened on trips, with places",
        lambda s: trip_events.c.trip_id.in_(select(trips.c.trip_id).where(trips.c.driver_id == s.driver_id)),
    ),
    Holding(
        trip_disputes,
        Fate.DELETED,
        "disputes of trips, in own words",
        lambda s: trip_disputes.c.driver_id == s.driver_id,
    ),
    Holding(trips, Fate.DELETED, "trips, with first and last place", lambda s: trips.c.driver_id == s.driver_id),
    Holding(
        device_trip_state,
        Fate.DELETED,
        "the open trip of a device, with its points",
        lambda s: device_trip_state.c.device_id.in_(s.device_ids),
        exported=False,
    ),
    Holding(
        device_trip_marks,
        Fate.DELETED,
        "earlier states of the open trip",
        lambda s: device_trip_marks.c.device_id.in_(s.device_ids),
        exported=False,
    ),
)
