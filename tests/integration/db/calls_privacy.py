"""Arguments for the functions that hold the SQL of consents, erasure and retention."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from auto_insurance.drivers.repository_consents import ConsentRow
from auto_insurance.kernel import ids
from auto_insurance.privacy.repository import ProofRow

NOW = datetime.now(UTC)
DRIVER = "DRV00042"
YEARS_AGO = NOW - timedelta(days=3 * 365)


def uuid(kind: str, number: int = 42) -> UUID:
    """Return the uuid of a filled row, see ``filling.uuid``."""
    return UUID(hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest())


def _consent() -> ConsentRow:
    return ConsentRow(
        driver_id=DRIVER, purpose="training", seq=9, granted=False, version=1, basis="contract", source="driver",
        decided_by=None, decided_at=NOW,
    )  # fmt: skip


def _proof() -> ProofRow:
    return ProofRow(
        proof_id=ids.new_uuid(), number=99_999, request_id=ids.new_uuid(), driver_id=DRIVER, document="{}", sha256="",
        previous=None, made_at=NOW,
    )  # fmt: skip


_REQUEST = {"request_id": uuid("erasure")}
_STEP = {"request_id": uuid("erasure"), "name": "table:trips"}
OF_FUNCTION: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "drivers.repository_consents.add_consents": ({"rows": [_consent()]},),
    "drivers.repository_consents.decided": ({"purpose": "training"},),
    "drivers.repository_consents.set_withheld": ({"withheld": True},),
    "drivers.repository_erasures.get_erasure": (_REQUEST, {**_REQUEST, "lock": True}),
    "drivers.repository_erasures.insert_erasure": ({"driver_id": "DRV99998"},),
    "drivers.repository_erasures.list_erasures": ({"status": "running"}, {"status": None}),
    "drivers.repository_erasures.update_erasure": ({**_REQUEST, "values": {"note": "x"}},),
    "drivers.repository_erasures.subject_of": (_REQUEST,),
    "privacy.queries.subject_of": ({},),
    "privacy.queries.old_scores": ({"before": YEARS_AGO},),
    "privacy.queries.idle_drivers": ({"since": YEARS_AGO},),
    "privacy.repository.steps_of": (_REQUEST,),
    "privacy.repository.begin_step": ({**_STEP, "name": "table:new", "before": {}},),
    "privacy.repository.add_changed": ({**_STEP, "rows": 1},),
    "privacy.repository.end_step": ({**_STEP, "after": {}},),
    "privacy.repository.add_proof": ({"row": _proof()},),
    "privacy.repository.get_proof": ({"proof_id": uuid("proof")},),
    "privacy.repository.proof_of": ({"request_id": uuid("proof")},),
    "privacy.repository.proof_numbered": ({"number": 42},),
    "risk.repository.forget_scores": ({"score_ids": [uuid("score"), uuid("score", 43)]},),
    "trips.repository_places.coarsen_trips": ({},),
    "trips.repository_places.coarsen_events": ({},),
}
