"""A registered fleet in bulk: drivers, devices, assignments and device keys, by COPY into the product's own tables."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import asyncpg

from auto_insurance.identity.tokens import DEVICE_KEY_PREFIX, digest
from benchmarks.fleet import device_name, driver_name

SINCE = datetime(2020, 1, 1, tzinfo=UTC)
"""Every device was its driver's from this day on."""
ZONES = ("America/Chicago", "America/New_York", "America/Denver", "America/Los_Angeles")


def key_of(device: int) -> str:
    """Return the key of a device: made of its number, for a throw-away database only."""
    return f"{DEVICE_KEY_PREFIX}benchmark-{device:05d}"


async def provision(conn: asyncpg.Connection, devices: int) -> None:
    """Register devices 0..n-1, each with a driver of its own."""
    everyone = range(devices)
    tables = {
        "drivers": (
            ("driver_id", "state", "time_zone", "coverage", "enrolled_at", "updated_at"),
            [(driver_name(n), "IL", ZONES[n % len(ZONES)], "standard", SINCE, SINCE) for n in everyone],
        ),
        "devices": (("device_id", "kind", "created_at"), [(device_name(n), "phone", SINCE) for n in everyone]),
        "device_assignments": (
            ("device_id", "driver_id", "valid_from"),
            [(device_name(n), driver_name(n), SINCE) for n in everyone],
        ),
        "device_keys": (
            ("key_id", "device_id", "key_hash", "scopes", "created_at"),
            [(uuid.uuid4(), device_name(n), digest(key_of(n)), ["import", "ingest"], SINCE) for n in everyone],
        ),
    }
    async with conn.transaction():
        for table, (columns, rows) in tables.items():
            await conn.copy_records_to_table(table, columns=columns, records=rows)
    await conn.execute("ANALYZE")
