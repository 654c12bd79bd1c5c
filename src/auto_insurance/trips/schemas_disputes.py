"""Forms in which HTTP clients see disputes of trips."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Note = Annotated[str, Field(max_length=1000)]


class DisputeReason(StrEnum):
    """What a driver says against a trip."""

    PASSENGER = "passenger"
    NOT_ME = "not_me"
    WRONG_DATA = "wrong_data"


class DisputeStatus(StrEnum):
    """Where a dispute stands."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class DisputeIn(BaseModel):
    """A driver's word against a trip."""

    model_config = ConfigDict(extra="forbid")

    reason: DisputeReason = Field(description="passenger: somebody else drove; not_me: not there; wrong_data.")
    note: Note | None = Field(None, description="What happened, in the driver's words.")


class DecisionIn(BaseModel):
    """Staff's decision on a dispute."""

    model_config = ConfigDict(extra="forbid")

    accept: bool = Field(description="True: the trip counts no longer, score and price follow.")
    note: Note | None = Field(None, description="Why; the driver reads it.")


class DisputeOut(BaseModel):
    """A dispute."""

    model_config = ConfigDict(from_attributes=True)

    dispute_id: UUID
    trip_id: UUID
    driver_id: str
    reason: DisputeReason
    note: str | None
    status: DisputeStatus
    created_at: datetime
    decided_at: datetime | None
    decision_note: str | None
