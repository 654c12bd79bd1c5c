"""What telematics hold of a driver. Archived months are files: ``archive_erase`` takes care of them."""

from __future__ import annotations

from auto_insurance.infra.db.holdings import Fate, Holding
from auto_insurance.telematics.models import device_contacts, imports, telematics_events

HOLDINGS = (
    Holding(
        telematics_events,
        Fate.DELETED,
        "driving events with positions",
        lambda s: telematics_events.c.driver_id == s.driver_id,
    ),
    Holding(
        device_contacts,
        Fate.DELETED,
        "how much each device sent, by the hour",
        lambda s: device_contacts.c.device_id.in_(s.device_ids),
    ),
    Holding(
        imports,
        Fate.DELETED,
        "files that were imported, with what was refused of them",
        lambda s: imports.c.driver_id == s.driver_id,
        hidden=frozenset({"content"}),
    ),
)
