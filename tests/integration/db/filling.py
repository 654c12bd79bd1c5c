"""Fills a database with a book of some size, by SQL alone: some seconds for a quarter of a million rows.

A column that nobody names gets the least value of its type, so that a new column needs no word here.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import asyncpg
from sqlalchemy import ARRAY, Boolean, Column, Computed, DateTime, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from auto_insurance.bootstrap import metadata
from tests.integration.db import billing, calls_audit, calls_claims, calls_webhooks

DRIVERS = 5_000
DRIVING = 500
"""Drivers and devices with telemetry and trips."""
EVENTS = 120_000
TRIPS = 20_000
DAYS = 110
"""Back from now: the events lie in four or five months."""

DRIVER = "'DRV' || lpad(({n})::text, 5, '0')"
DEVICE = "'DEV' || lpad(({n})::text, 5, '0')"
_DRIVING = f"i % {DRIVING} + 1"


def uuid(kind: str, number: str = "i") -> str:
    """Return the SQL of the uuid of row ``number`` of a kind."""
    return f"md5('{kind}' || ({number}))::uuid"


def _back(count: int) -> str:
    """Return the SQL of instants spread over the days up to now."""
    return f"now() - {DAYS} * interval '1 day' * ({count} - i) / {count}"


def _one_each(kind: str) -> dict[str, str]:
    return {"driver_id": DRIVER.format(n="i"), "created_at": "now()", f"{kind}_id": f"'{kind}' || i"}


_INPUTS = """'{"rating_date": "2026-01-01", "state": "CA", "coverage": "standard", "prior_claims": 0,
    "driver_age": null, "licence_years": null, "vehicle_age": null, "vehicle_use": null, "annual_mileage": null}'"""

_PEOPLE: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("drivers", DRIVERS, {"driver_id": DRIVER.format(n="i"), "coverage": "'standard'", "status": "'active'"}),
    ("users", DRIVERS, {
        "user_id": uuid("user"), "username": "'user' || i", "email": "'user' || i || '@example.test'",
        "driver_id": DRIVER.format(n="i"), "roles": "'{driver}'",
    }),
    ("sessions", 6_000, {
        "session_id": uuid("session"), "user_id": uuid("user", f"i % {DRIVERS} + 1"),
        "expires_at": "now() + (i - 200) * interval '1 minute'",
    }),
    ("refresh_tokens", 6_000, {
        "token_hash": "sha256(('token' || i)::bytea)", "session_id": uuid("session", "i"),
        "expires_at": "now() + interval '1 day'",
    }),
    ("device_keys", DRIVERS, {
        "key_id": uuid("key"), "device_id": DEVICE.format(n="i"), "key_hash": "sha256(('key' || i)::bytea)",
        "scopes": "'{ingest}'",
    }),
    ("api_keys", 3_000, {
        "key_id": uuid("api_key"), "user_id": uuid("user", f"i % {DRIVERS} + 1"), "scopes": "'{read:risk}'",
        "key_hash": "sha256(('key' || i)::bytea)", "expires_at": "now() + i * interval '1 minute'",
    }),
    ("password_resets", 3_000, {
        "token_hash": "sha256(('token' || i)::bytea)", "user_id": uuid("user", f"i % {DRIVERS} + 1"),
        "expires_at": "now() + i * interval '1 minute'",
    }),
    ("oidc_logins", 3_000, {
        "state_hash": "('state' || i)::bytea", "expires_at": "now() + i * interval '1 minute'",
    }),
    ("oidc_identities", 3_000, {
        "issuer": "'https://idp.test'", "subject": "'subject' || i", "user_id": uuid("user", f"i % {DRIVERS} + 1"),
    }),
    ("vehicles", DRIVERS, {
        "vehicle_id": "'VEH' || i", "driver_id": DRIVER.format(n="i"), "vin": "'VIN' || i", "use": "'private'",
    }),
    ("devices", DRIVERS, {"device_id": DEVICE.format(n="i"), "kind": "'obd'"}),
    ("device_assignments", DRIVERS, {
        "device_id": DEVICE.format(n="i"), "driver_id": DRIVER.format(n="i"), "vehicle_id": "'VEH' || i",
        "valid_from": "now() - interval '1 year'",
    }),
    ("erasure_requests", DRIVERS, {
        "request_id": uuid("erasure"), "driver_id": DRIVER.format(n="i"),
        "status": "CASE i % 100 WHEN 0 THEN 'requested' WHEN 1 THEN 'done' ELSE 'refused' END", "source": "'person'",
        "requested_at": _back(DRIVERS), "finished_at": _back(DRIVERS),
    }),
    ("driver_consents", 7 * DRIVERS, {
        "driver_id": DRIVER.format(n="i / 7"), "purpose": "(ARRAY['telematics', 'training', 'coaching', 'marketing',"
        " 'location_history', 'telematics_pricing', 'third_party_sharing'])[i % 7 + 1]", "seq": "1", "version": "1",
        "source": "'enrolment'", "granted": "i % 50 > 0",
    }),
    ("erasure_steps", 20_000, {"request_id": uuid("erasure", "i / 40"), "name": "'table:' || i", "before": "'{}'"}),
    ("erasure_proofs", 2_000, {
        "proof_id": uuid("proof"), "request_id": uuid("proof"), "number": "i", "driver_id": DRIVER.format(n="i"),
    }),
)  # fmt: skip
_DRIVES: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("telematics_events", EVENTS, {
        "device_id": DEVICE.format(n=_DRIVING), "driver_id": DRIVER.format(n=_DRIVING), "event_id": "'e' || i",
        "timestamp": _back(EVENTS), "received_at": _back(EVENTS), "latitude": "41.0", "longitude": "-87.0",
        "event_type": "CASE i % 200 WHEN 0 THEN 'harsh_brake' ELSE 'normal' END",
    }),
    ("telematics_device_contacts", 20_000, {
        "device_id": DEVICE.format(n=_DRIVING), "hour": f"date_trunc('hour', now()) - i / {DRIVING} * interval '1 h'",
    }),
    ("telematics_imports", 5_000, {
        "job_id": uuid("import"), "driver_id": DRIVER.format(n=_DRIVING),
        "status": "CASE WHEN i % 100 = 0 THEN 'queued' ELSE 'done' END",
    }),
    ("trips", TRIPS, {
        "trip_id": uuid("trip"), "driver_id": DRIVER.format(n=_DRIVING), "device_id": DEVICE.format(n=_DRIVING),
        "start_time": _back(TRIPS), "end_time": f"{_back(TRIPS)} + interval '20 min'", "revision": "1",
        "status": "CASE i % 400 WHEN 0 THEN 'in_progress' ELSE 'completed' END", "time_zone": "'UTC'",
        "distance_miles": "10.0",
    }),
    ("trip_events", 40_000, {
        "trip_id": uuid("trip", f"i % {TRIPS} + 1"), "seq": f"i / {TRIPS}", "started_at": _back(40_000),
        "severity": "CASE i % 7 WHEN 0 THEN 'severe' ELSE 'moderate' END",
    }),
    ("device_trip_state", DRIVERS, {
        "device_id": DEVICE.format(n="i"), "log_topic": "'telematics-events'", "log_partition": "i % 12",
        "silence_deadline": "CASE i % 50 WHEN 0 THEN now() + i * interval '1 s' END",
    }),
    ("trip_scores", TRIPS, {
        "trip_id": uuid("trip"), "driver_id": DRIVER.format(n=_DRIVING), "risk_level": "'low'", "trip_score": "90.0",
        "contributions": "'[]'",
    }),
    ("risk_scores", TRIPS, {
        "score_id": uuid("score"), "driver_id": DRIVER.format(n=_DRIVING), "calculated_at": _back(TRIPS),
        "basis": "'recent'", "risk_score": "40.0", "contributions": "'[]'",
    }),
    ("risk_due_scores", DRIVERS, {
        "driver_id": DRIVER.format(n="i"), "due_at": "now() + (i - 20) * interval '1 s'", "reason": "'trip.completed'",
    }),
    ("risk_policy_exposure", DRIVERS, {
        "policy_id": "'POL-' || i", "term": "1", "driver_id": DRIVER.format(n="i"), "in_force": "'[]'",
        "term_start": "now() - i * interval '1 day'", "term_end": "now() + (20 - i) * interval '1 day'",
    }),
    ("risk_claims", DRIVERS, {
        "claim_id": "'CLM-' || i", "driver_id": DRIVER.format(n="i"), "counts": "true",
        "occurred_at": "now() - i * interval '1 day'", "reported_at": "now() - i * interval '1 day'",
    }),
    ("risk_drift_nights", 2_000, {
        "run_id": uuid("run"), "measured_at": "now() - i * interval '1 day'", "feature_drift": "'{}'",
    }),
    ("premiums", TRIPS, {
        "premium_id": uuid("premium"), "driver_id": DRIVER.format(n=_DRIVING), "version": f"i / {DRIVING} + 1",
        "kind": "CASE WHEN i < 1000 THEN 'charged' ELSE 'indicated' END", "worksheet": "'[]'",
        "inputs": _INPUTS, "reason": "'test'", "effective_date": f"current_date - (i / {DRIVING})",
        "driving_from": "now() - interval '400 days'", "driving_to": "now() - interval '35 days'",
    }),
    ("quotes", 8_000, {
        "quote_id": "'QUO-' || md5(i::text)", "status": "CASE i % 10 WHEN 0 THEN 'bound' ELSE 'open' END",
        "bound_at": "CASE i % 10 WHEN 0 THEN now() END", "worksheet": "'[]'", "inputs": _INPUTS,
        "expires_at": "now() + (i - 500) * interval '10 minutes'",
    }),
)  # fmt: skip
_POLICY = "'POL-' || lpad((i)::text, 6, '0')"
_INSURED: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("policies", DRIVERS, {
        "policy_id": _POLICY, "driver_id": DRIVER.format(n="i"), "status": "'active'", "term": "1", "anchor_day": "1",
        "created_at": _back(DRIVERS), "time_zone": "'UTC'",
    }),
    ("policy_terms", DRIVERS, {
        "policy_id": _POLICY, "term": "1", "months": "12", "starts_on": "current_date", "ends_on": "current_date + 365",
        "starts_at": "now() - interval '1 day'", "ends_at": "now() + i * interval '1 hour'",
        "status": "CASE i % 50 WHEN 0 THEN 'bound' ELSE 'active' END",
    }),
    ("policy_segments", DRIVERS, {
        "policy_id": _POLICY, "term": "1", "driver_id": DRIVER.format(n="i"), "rate": """'{"annual_premium": "1"}'""",
        "vehicle_id": "'VEH' || i", "from_at": "now() - interval '30 days'", "to_at": "now() + i * interval '1 hour'",
    }),
    ("policy_transactions", TRIPS, {
        "transaction_id": "'TXN' || i", "policy_id": f"'POL-' || lpad((i % {DRIVERS} + 1)::text, 6, '0')",
        "revision": f"i / {DRIVERS} + 1", "lines": "'[]'", "kind": "'endorsed'",
    }),
)  # fmt: skip
_LOG: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("outbox", 5_000, {"topic": "'trips'", "event_id": uuid("event"), "value": "'\\x7b7d'::bytea"}),
    ("dead_letters", 8_000, {
        "reason": "CASE i % 50 WHEN 0 THEN 'malformed' ELSE 'unknown_device' END", "topic": "'telematics-events'",
    }),
    ("handled_events", 20_000, {
        "group_name": "'risk-scoring'", "event_id": uuid("event"), "handled_at": _back(20_000),
    }),
    ("consumer_offsets", 120, {
        "group_name": "'group-' || i % 10", "topic": "'telematics-events'", "partition_no": "i / 10",
        "topic_id": "'one'", "next_offset": "i",
    }),
)  # fmt: skip


async def fill(url: str, only: Collection[str] = ()) -> None:
    """Fill a migrated database, with ``only`` some of its tables, and let the planner know."""
    conn = await asyncpg.connect(url)
    try:
        await conn.execute(
            "SELECT create_month_partition('telematics_events', (now() - n * interval '1 month')::date)"
            " FROM generate_series(0, 4) AS n"
        )
        await conn.execute("SET session_replication_role = replica")  # foreign keys hold by construction
        others = (*billing.ROWS, *calls_claims.ROWS, *calls_webhooks.ROWS, *calls_audit.ROWS)
        for name, rows, columns in (*_PEOPLE, *_DRIVES, *_INSURED, *_LOG, *others):
            if not only or name in only:
                await conn.execute(_insert(metadata().tables[name], rows, columns))
        await conn.execute("VACUUM ANALYZE")
    finally:
        await conn.close()


def _insert(table: Table, rows: int, columns: dict[str, str]) -> str:
    unknown = columns.keys() - set(table.columns.keys())
    assert not unknown, f"{table.name} has no {unknown}"
    values = {column.name: columns.get(column.name, _least(column)) for column in table.columns if _needed(column)}
    values |= columns
    return f"INSERT INTO {table.name} ({', '.join(values)}) SELECT {', '.join(values.values())} " + (
        f"FROM generate_series(1, {rows}) AS i"
    )


def _needed(column: Column[Any]) -> bool:
    has_default = (
        column.server_default is not None or column.identity is not None or isinstance(column.computed, Computed)
    )
    return not column.nullable and not has_default


def _least(column: Column[Any]) -> str:
    for kind, value in (
        (ARRAY, "'{}'"),
        (JSONB, "'{}'"),
        (Boolean, "false"),
        (DateTime, "now()"),
        (LargeBinary, "''::bytea"),
        (Text, "''"),
        (Uuid, "gen_random_uuid()"),
    ):
        if isinstance(column.type, kind):
            return value
    return "current_date" if column.type.python_type.__name__ == "date" else "0"
