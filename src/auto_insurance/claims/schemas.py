"""Forms in which other domains and HTTP clients see claims.

Over HTTP amounts of money are JSON numbers with at most two decimals; what is sent in may be a number or a string.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from auto_insurance.claims.amounts import Kind
from auto_insurance.claims.lifecycle import Decision, Reason, Status
from auto_insurance.drivers.schemas import EntityId, TimeZone
from auto_insurance.pricing.schemas import Money

Note = Annotated[str, Field(max_length=1000)]
MAX_AMOUNT = Decimal(1_000_000_000)


class ClaimCoverage(StrEnum):
    """What is claimed under."""

    LIABILITY = "liability"
    COLLISION = "collision"
    COMPREHENSIVE = "comprehensive"


class ClaimSource(StrEnum):
    """Where the first word of a loss came from."""

    DRIVER = "driver"
    STAFF = "staff"
    DEVICE = "device"


class ClaimSort(StrEnum):
    """How lists are ordered; a minus means the latest first."""

    OCCURRED_DESC = "-occurred_at"
    OCCURRED = "occurred_at"
    UPDATED_DESC = "-updated_at"
    UPDATED = "updated_at"


# --- what other domains read ---


class Incurred(msgspec.Struct, frozen=True, kw_only=True):
    """What the claims of a period cost, for a loss ratio. Amounts in ``currency``; incurred = paid + reserve -
    recovered.
    """

    currency: str
    claims: int
    open_claims: int
    paid: Decimal
    reserve: Decimal
    recovered: Decimal

    @property
    def incurred(self) -> Decimal:
        """Paid and still expected, less what came back."""
        return self.paid + self.reserve - self.recovered


# --- HTTP ---


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def _text(value: str) -> str:
    """Take text with line breaks, without other control characters."""
    if any(not (char.isprintable() or char in "\n\r\t") for char in value):
        raise ValueError("must be text")
    return value.strip()


Description = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_text)]


class PlaceIn(_Input):
    """A point on the map; degrees, WGS 84."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]


class ClaimIn(_Input):
    """First notice of loss."""

    driver_id: EntityId | None = Field(None, description="For staff; a driver reports its own losses.")
    occurred_at: AwareDatetime = Field(description="When it happened, with an offset from UTC.")
    time_zone: TimeZone | None = Field(None, description="Local time of the place (IANA); the driver's by default.")
    coverage: ClaimCoverage
    description: Description
    vehicle_id: EntityId | None = None
    place: PlaceIn | None = None
    injuries: bool = False
    others_involved: bool = False


class ClaimPatch(_Input):
    """What a draft lacks or has wrong; a field that is absent stays."""

    coverage: ClaimCoverage | None = None
    description: Description | None = None
    vehicle_id: EntityId | None = None
    place: PlaceIn | None = None
    injuries: bool | None = None
    others_involved: bool | None = None


class TransitionIn(_Input):
    """A move of a claim."""

    to: Status
    reason: Reason | None = Field(None, description="Needed to deny, and by staff to withdraw.")
    note: Note | None = None
    fault_share: Annotated[Decimal, Field(ge=0, le=1, decimal_places=3)] | None = Field(
        None, description="The driver's share of the fault, for staff to set."
    )


class AmountIn(_Input):
    """Money of a claim."""

    kind: Kind = Field(description="reserve: set to the amount. payment, recovery: more by the amount.")
    amount: Annotated[Decimal, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT, decimal_places=2)] = Field(
        description="In the claim's currency; a negative payment or recovery corrects an earlier one."
    )
    note: Note | None = None


class Place(BaseModel):
    """A point on the map; degrees, WGS 84."""

    latitude: float
    longitude: float


class ClaimOut(BaseModel):
    """A claim as lists show it."""

    claim_id: str = Field(examples=["CLM-000001"])
    driver_id: str
    vehicle_id: str | None
    status: Status
    revision: int
    coverage: ClaimCoverage | None = Field(description="Null while a draft does not say.")
    source: ClaimSource
    occurred_at: datetime
    time_zone: str
    reported_at: datetime | None
    updated_at: datetime
    policy_id: str | None = Field(description="The policy that covered the loss at its time; null: none was found.")
    decision: Decision | None
    decision_reason: Reason | None
    fault_share: float | None
    currency: str
    reserve: Money
    paid: Money
    recovered: Money
    incurred: Money = Field(description="paid + reserve - recovered")


class CoverOut(BaseModel):
    """The cover that held when the loss happened."""

    policy_id: str
    term: int
    limit: Money | None
    deductible: Money | None
    checked_at: datetime


class MoveOut(BaseModel):
    """A move of a claim."""

    seq: int
    from_status: Status | None
    to_status: Status
    reason: Reason | None
    note: str | None
    moved_at: datetime
    actor: ClaimSource


class AmountOut(BaseModel):
    """An entry of a claim's money."""

    seq: int
    kind: Kind
    change: Money
    balance: Money = Field(description="Of this kind, after the entry.")
    note: str | None
    booked_at: datetime


class LineString(BaseModel):
    """GeoJSON (RFC 7946): [longitude, latitude] pairs."""

    type: Literal["LineString"] = "LineString"
    coordinates: list[tuple[float, float]]


class SpeedPoint(BaseModel):
    """A moment around the loss."""

    device_id: str
    offset_s: float = Field(description="Seconds after the loss; negative: before.")
    speed_mph: float | None
    speed_limit_mph: float | None
    acceleration_g: float | None
    lateral_acceleration_g: float | None
    event_type: str


class EvidenceOut(BaseModel):
    """Telemetry around the loss as it was frozen."""

    version: int
    versions: int = Field(description="How many there are; the first stays when late events make another.")
    reason: str = Field(examples=["reported", "late_events"])
    frozen_at: datetime
    window_start: datetime
    window_end: datetime
    devices: list[str]
    event_count: int
    checksum: str = Field(description="SHA-256, hexadecimal.")
    path: LineString | None = Field(description="Null with fewer than two good positions.")
    speeds: list[SpeedPoint]


class ClaimDetail(ClaimOut):
    """A claim with all that belongs to it."""

    description: str | None
    place: Place | None
    injuries: bool
    others_involved: bool
    cover: CoverOut | None
    may_move_to: list[Status] = Field(description="Where the caller may move it, conditions aside.")
    moves: list[MoveOut]
    amounts: list[AmountOut]
    evidence: EvidenceOut | None


class VerifiedVersion(BaseModel):
    """Whether a version is as it was frozen."""

    version: int
    checksum: str
    intact: bool


class SourceState(StrEnum):
    """How the stored telemetry compares with the newest evidence."""

    SAME = "same"
    MORE = "more_events"
    DIFFERENT = "different"


class EvidenceCheck(BaseModel):
    """Whether the evidence holds."""

    claim_id: str
    intact: bool = Field(description="All versions are as they were frozen, and none is missing.")
    versions: list[VerifiedVersion]
    source: SourceState = Field(
        description="same: the stored events are those frozen. more_events: late ones came since. different: an event "
        "was changed or is gone."
    )
    checked_at: datetime
