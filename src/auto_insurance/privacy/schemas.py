"""Forms of plans, erasures and proofs."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from auto_insurance.drivers.schemas import ErasureRequest


class ErasureStatus(StrEnum):
    """Where an erasure stands."""

    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"


class PlannedTable(BaseModel):
    """What erasure would do to one table."""

    table: str
    fate: str = Field(description="`deleted`, `pseudonymised`, `kept` or `expires`.")
    why: str
    rows: int = Field(description="Rows of the driver now.")
    to_change: int = Field(description="Rows that would be deleted or changed.")


class ErasurePlan(BaseModel):
    """A dry run: what would go, what stays and why. Nothing has changed."""

    request_id: UUID
    driver_id: str
    blockers: list[str] = Field(description="What must end first; empty if the erasure can be carried out.")
    tables: list[PlannedTable]
    archived_months: dict[str, int] = Field(description="Archived events by month; these months are written anew.")
    cache_keys: int | None = Field(description="Keys in Redis; null if it does not answer.")
    log: str
    models: str


class ErasureStep(BaseModel):
    """How far one step is."""

    name: str
    changed: int
    done_at: datetime | None


class ErasureState(BaseModel):
    """A request and how far its erasure is."""

    request: ErasureRequest
    steps: list[ErasureStep]
    proof_id: UUID | None


class RefusalIn(BaseModel):
    """Why a request is declined."""

    note: str = Field(min_length=1, max_length=500, description="What the driver is told.")


class Proof(BaseModel):
    """What was erased, when and by whom. ``sha256`` is the digest of ``document`` as it is stored."""

    proof_id: UUID
    number: int
    request_id: UUID
    driver_id: str
    made_at: datetime
    sha256: str
    previous: str | None = Field(description="Digest of the proof before; null for the first.")
    document: dict[str, Any]


class Verdict(BaseModel):
    """Whether a proof is as it was made, and whether it is still true."""

    proof_id: UUID
    holds: bool
    problems: list[str]
    tables_checked: int
