"""Forms of the HTTP answers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field

from auto_insurance.telematics.limits import ReasonCode


class EventStatus(StrEnum):
    """What became of an event at the door."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class ReasonView(BaseModel):
    """Why an event is refused."""

    code: ReasonCode
    field: str = Field(description="The field; empty if it is the event as a whole.")
    message: str


class EventResult(BaseModel):
    """What became of one event."""

    index: int = Field(description="Place in the upload, from 0.")
    event_id: str | None
    status: EventStatus
    reasons: list[ReasonView] = []


class BatchAnswer(BaseModel):
    """What became of an upload. Accepted events are durable; copies of earlier ones count as accepted."""

    accepted: int
    rejected: int
    results: list[EventResult] = Field(description="The refused events; all of them with `verbose=true`.")


class EventAnswer(BaseModel):
    """The one event is durable."""

    event_id: str
    status: EventStatus = EventStatus.ACCEPTED


class DeviceStatus(StrEnum):
    """How long a device has been silent."""

    HEALTHY = "healthy"
    STALE = "stale"
    """More than a day."""
    OFFLINE = "offline"
    """More than three days, or never heard of."""


class DeviceHealth(BaseModel):
    """How a device is doing."""

    device_id: str
    driver_id: str | None = Field(description="Whose device it is now.")
    status: DeviceStatus
    last_seen: datetime | None = Field(description="Last upload, whatever the age of its events.")
    clock_offset_s: float | None = Field(
        description="Least time from an upload's newest event to its arrival in the last 24 h; negative if the device's"
        " clock is ahead, null without live uploads."
    )
    rejected_last_24h: int


class EventCount(BaseModel):
    """What is stored of a device in a range of time."""

    device_id: str
    count: int
    first: datetime | None
    last: datetime | None


class ImportStatus(StrEnum):
    """Where an import stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class RowProblem(BaseModel):
    """A row that was refused."""

    line: int
    code: str
    message: str


class ImportJob(BaseModel):
    """An import of a file. Rows that are stored already count as accepted."""

    job_id: UUID
    driver_id: str
    device_id: str
    format: str
    status: ImportStatus
    accepted: int
    rejected: int
    reasons: dict[str, int] = Field(description="Refused rows by reason.")
    problems: list[RowProblem] = Field(description="The first refused rows.")
    detail: str | None
    created_at: datetime
    finished_at: datetime | None
