"""Forms in which HTTP clients see webhooks."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from auto_insurance.webhooks.addresses import MAX_URL
from auto_insurance.webhooks.catalogue import EventType


class DeliveryState(StrEnum):
    """How a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


def _distinct(events: list[EventType]) -> list[EventType]:
    return sorted(set(events))


Url = Annotated[str, Field(min_length=1, max_length=MAX_URL, examples=["https://example.com/hooks/insurance"])]
Events = Annotated[
    list[EventType],
    Field(
        min_length=1, max_length=2 * len(EventType), description="Which events to send.", examples=[["trip.completed"]]
    ),
    AfterValidator(_distinct),
]
Description = Annotated[str, Field(max_length=200)]


class WebhookIn(BaseModel):
    """An endpoint to send events to."""

    model_config = ConfigDict(extra="forbid")

    url: Url
    events: Events
    description: Description = ""
    active: bool = True


class WebhookPatch(BaseModel):
    """What to change of an endpoint; what is left out stays. Switching it on forgets earlier failures."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    active: bool | None = None


class WebhookOut(BaseModel):
    """An endpoint."""

    model_config = ConfigDict(from_attributes=True)

    endpoint_id: UUID
    url: str
    description: str
    events: list[EventType]
    active: bool
    failing_since: datetime | None = Field(description="First failure after the last success; null if it is well.")
    disabled_reason: str | None = Field(
        description="`failing` or `gone` (it answered 410) if the system switched it off.", examples=["failing"]
    )
    old_secret_until: datetime | None = Field(description="Until when the secret before signs as well.")
    created_at: datetime
    updated_at: datetime


class WebhookSecret(WebhookOut):
    """An endpoint with its new signing secret, which is shown here and never again."""

    secret: str = Field(description="Standard Webhooks: `whsec_` and base64.", examples=["whsec_<base64>"])


class RotateIn(BaseModel):
    """How to replace a signing secret."""

    model_config = ConfigDict(extra="forbid")

    overlap_hours: Annotated[int, Field(ge=0, le=168, description="How long the old secret signs as well.")] = 24


class DeliveryOut(BaseModel):
    """An event on its way to an endpoint."""

    model_config = ConfigDict(from_attributes=True)

    delivery_id: UUID
    event_id: UUID
    webhook_id: str = Field(description="The header `webhook-id`.", examples=["msg_0190c0de000070008000000000000000"])
    event_type: str
    state: DeliveryState
    attempts: int = Field(description="Since it was made or last replayed.")
    next_at: datetime | None = Field(description="When it is tried next; null if it is not.")
    attempted_at: datetime | None
    last_status: int | None = Field(description="What the receiver answered last.")
    last_error: str | None = Field(description="Why there was no answer.", examples=["timeout"])
    duration_ms: int | None
    created_at: datetime


class EventTypeOut(BaseModel):
    """An event that can be asked for."""

    type: EventType
    topic: str = Field(description="Where it is published; the reference of the events has the schema of its `data`.")
    data_schema: dict[str, Any] = Field(description="JSON Schema of `data`.")


class EventTypes(BaseModel):
    """All events that can be asked for."""

    items: list[EventTypeOut]


class Replayed(BaseModel):
    """How many deliveries are tried again."""

    replayed: int = Field(description="At most 10,000 at once; ask again while it is not 0.")
