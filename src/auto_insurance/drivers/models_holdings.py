"""What the domain of drivers holds of a driver."""

from __future__ import annotations

from sqlalchemy import null, select

from auto_insurance.drivers.models import (
    device_assignments,
    device_changes,
    devices,
    driver_consents,
    drivers,
    erasure_requests,
    vehicles,
)
from auto_insurance.infra.db.holdings import Fate, Holding

HOLDINGS = (
    Holding(
        device_changes,
        Fate.EXPIRES,
        "notes for consumers that a device changed hands: they go within a day",
        lambda s: device_changes.c.device_id.in_(s.device_ids),
        exported=False,
    ),
    Holding(
        driver_consents,
        Fate.KEPT,
        "who allowed what and when: the insurer must be able to show it; ids and yes or no",
        lambda s: driver_consents.c.driver_id == s.driver_id,
    ),
    Holding(
        device_assignments,
        Fate.KEPT,
        "so that events that still come from the devices are known and refused; ids and times",
        lambda s: device_assignments.c.driver_id == s.driver_id,
    ),
    Holding(
        devices,
        Fate.KEPT,
        "as the assignments; the kind of device, retired",
        lambda s: devices.c.device_id.in_(
            select(device_assignments.c.device_id).where(device_assignments.c.driver_id == s.driver_id)
        ),
    ),
    Holding(
        vehicles,
        Fate.PSEUDONYMISED,
        "policies and premiums name the vehicle by its id; year and use are kept with them, the rest goes",
        lambda s: vehicles.c.driver_id == s.driver_id,
        {"vin": null(), "make": "erased", "model": "erased"},
    ),
    Holding(
        drivers,
        Fate.PSEUDONYMISED,
        "the id that policies, claims and the ledger name, with state, time zone and coverage; the person goes",
        lambda s: drivers.c.driver_id == s.driver_id,
        {
            **dict.fromkeys(
                (
                    "full_name",
                    "date_of_birth",
                    "licence_date",
                    "postcode",
                    "declared_annual_mileage",
                    "email",
                    "phone",
                    "street_address",
                    "city",
                ),
                null(),
            ),
            "prior_claims": 0,
            "status": "erased",
            "telemetry_withheld": True,
        },
    ),
    Holding(
        erasure_requests,
        Fate.KEPT,
        "that and when erasure was asked for and done; ids and times",
        lambda s: erasure_requests.c.driver_id == s.driver_id,
        hidden=frozenset({"subject"}),
    ),
)
