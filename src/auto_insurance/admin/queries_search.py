"""One search over all that staff look for, in one statement."""

from __future__ import annotations

from sqlalchemy import bindparam, text
from sqlalchemy.types import Text, Uuid

from auto_insurance.admin.queries_drivers import starting, words_beginning
from auto_insurance.admin.queries_resources import NO_ID, id_range
from auto_insurance.admin.reading import Rows, fetch
from auto_insurance.infra.db.uow import UnitOfWork

_SEARCH = text(
    """
    SELECT * FROM (
    (SELECT 'driver' AS kind, driver_id AS id, coalesce(full_name, '') || ' ' || state AS label, driver_id
        FROM drivers WHERE driver_id LIKE :prefix OR driver_id LIKE :upper OR lower(email) LIKE :lower
            OR to_tsvector('simple'::regconfig, full_name) @@ to_tsquery('simple'::regconfig, :words)
        ORDER BY driver_id LIMIT :most)
    UNION ALL
    (SELECT 'policy', policy_id, product || ', ' || status, driver_id FROM policies
        WHERE policy_id LIKE :prefix OR policy_id LIKE :upper ORDER BY policy_id LIMIT :most)
    UNION ALL
    (SELECT 'vehicle', vehicle_id, make || ' ' || model || ' ' || year, driver_id FROM vehicles
        WHERE vehicle_id LIKE :prefix OR vehicle_id LIKE :upper OR vin = :vin ORDER BY vehicle_id LIMIT :most)
    UNION ALL
    (SELECT 'device', device_id, kind || CASE WHEN retired_at IS NULL THEN '' ELSE ', retired' END, NULL FROM devices
        WHERE device_id LIKE :prefix OR device_id LIKE :upper ORDER BY device_id LIMIT :most)
    UNION ALL
    (SELECT 'trip', trip_id::text, to_char(start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC', driver_id
        FROM trips WHERE trip_id BETWEEN :first AND :last ORDER BY trip_id LIMIT :most)
    UNION ALL
    (SELECT 'claim', claim_id, status, driver_id FROM claims
        WHERE claim_id LIKE :prefix OR claim_id LIKE :upper ORDER BY claim_id LIMIT :most)
    ) AS found
    """
).bindparams(
    *(bindparam(name, type_=Text) for name in ("prefix", "upper", "lower", "words", "vin")),
    bindparam("first", type_=Uuid),
    bindparam("last", type_=Uuid),
)


async def search(uow: UnitOfWork, q: str, limit: int) -> Rows:
    """Return (kind, id, label, driver) of what begins with a text, at most ``limit`` of each kind."""
    first, last = id_range(q) or (NO_ID, NO_ID)
    params = {
        "prefix": starting(q),
        "upper": starting(q.upper()),
        "lower": starting(q.lower()),
        "words": words_beginning(q) or "",
        "vin": q.upper(),
        "first": first,
        "last": last,
        "most": limit,
    }
    return await fetch(uow, _SEARCH, params)
