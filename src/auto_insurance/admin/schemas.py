"""Forms of the dashboard, of lists and of what staff ask for."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from auto_insurance.drivers.schemas import DeviceAssign, DeviceView, DriverView, EntityId, VehicleCreate, VehicleView

MAX_BULK = 1000


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class RiskBand(StrEnum):
    """By the risk score: low up to 40, medium up to 70, high above; none: without a score."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    NONE = "none"


class CardStatus(StrEnum):
    """How a driver stands."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    ERASURE_REQUESTED = "erasure_requested"
    ERASED = "erased"


class DriverSort(StrEnum):
    """What driver cards are sorted by; a leading minus turns the order round."""

    DRIVER_ID = "driver_id"
    FULL_NAME = "full_name"
    ENROLLED_AT = "enrolled_at"
    RISK_SCORE = "risk_score"
    MONTHLY_PREMIUM = "monthly_premium"
    LAST_TRIP_AT = "last_trip_at"
    DRIVER_ID_DOWN = "-driver_id"
    FULL_NAME_DOWN = "-full_name"
    ENROLLED_AT_DOWN = "-enrolled_at"
    RISK_SCORE_DOWN = "-risk_score"
    MONTHLY_PREMIUM_DOWN = "-monthly_premium"
    LAST_TRIP_AT_DOWN = "-last_trip_at"


class ThingSort(StrEnum):
    """Order of time, forwards or (minus) backwards."""

    CREATED_AT = "created_at"
    CREATED_AT_DOWN = "-created_at"


class TripSort(StrEnum):
    """Order of time, forwards or (minus) backwards."""

    START_TIME = "start_time"
    START_TIME_DOWN = "-start_time"


class DriverCard(BaseModel):
    """A driver at a glance."""

    driver_id: str
    name: str | None
    state: str
    status: str = Field(description="`active`, `inactive`, or what an erasure made of it.")
    enrolled_at: datetime
    risk_score: float | None = Field(description="The newest, 0 to 100 (100 is the riskiest); null without one.")
    risk_level: RiskBand
    scored_at: datetime | None
    monthly_premium: Decimal | None = Field(description="What is charged today; null where nothing is.")
    currency: str | None
    policy_id: str | None = Field(description="The newest policy that runs.")
    trips: int = Field(description="Completed ones.")
    miles: float = Field(description="Of completed trips.")
    last_trip_at: datetime | None = Field(description="When the last completed trip began.")

    @classmethod
    def of(cls, row: Any) -> Self:
        """Build the answer from a row of ``queries_drivers``."""
        return cls(
            driver_id=row.driver_id,
            name=row.full_name,
            state=row.state,
            status="inactive" if row.deactivated_at is not None and row.status == "active" else row.status,
            enrolled_at=row.enrolled_at,
            risk_score=row.risk_score,
            risk_level=band_of(row.risk_score),
            scored_at=row.scored_at,
            monthly_premium=row.monthly_premium,
            currency=row.currency,
            policy_id=row.policy_id,
            trips=row.trips,
            miles=round(row.miles, 3),
            last_trip_at=row.last_trip_at,
        )


def band_of(score: float | None) -> RiskBand:
    """Return the band of a risk score."""
    if score is None:
        return RiskBand.NONE
    return RiskBand.LOW if score <= 40 else RiskBand.MEDIUM if score <= 70 else RiskBand.HIGH


class PolicyLine(BaseModel):
    """A policy in a line."""

    policy_id: str
    driver_id: str
    status: str
    product: str
    state: str
    currency: str
    term: int
    starts_on: date
    ends_on: date
    stopped_on: date | None
    written_premium: Decimal
    created_at: datetime

    @classmethod
    def of(cls, row: Any) -> Self:
        """Build the answer from a row of ``queries_resources``."""
        names = cls.model_fields.keys() - {"written_premium"}
        return cls(**{name: getattr(row, name) for name in names}, written_premium=row.written)


class TripLine(BaseModel):
    """A trip without its places: those are with the driver's own routes."""

    trip_id: UUID
    driver_id: str
    device_id: str
    vehicle_id: str | None
    status: str
    revision: int
    start_time: datetime
    end_time: datetime | None
    time_zone: str
    duration_minutes: float
    distance_miles: float
    avg_speed_mph: float
    max_speed_mph: float
    harsh_braking_count: int
    rapid_accel_count: int
    harsh_corner_count: int
    speeding_count: int
    night_miles: float
    crash_reported: bool
    trip_score: float | None
    risk_level: str | None

    @classmethod
    def of(cls, row: Any) -> Self:
        """Build the answer from a row of ``queries_resources``."""
        rounded = {name: round(getattr(row, name), 3) for name in ("distance_miles", "night_miles")}
        rounded |= {name: round(getattr(row, name), 1) for name in ("avg_speed_mph", "max_speed_mph")}
        names = cls.model_fields.keys() - rounded.keys() - {"duration_minutes"}
        return cls(
            **{name: getattr(row, name) for name in names}, **rounded, duration_minutes=round(row.duration_s / 60, 2)
        )


class DeviceLine(BaseModel):
    """A device, who has it, and when it was last heard of."""

    device_id: str
    kind: str
    status: Literal["in_service", "retired"]
    created_at: datetime
    retired_at: datetime | None
    driver_id: str | None = Field(description="Who has it now or from `assigned_from` on.")
    vehicle_id: str | None
    assigned_from: datetime | None
    last_seen_at: datetime | None

    @classmethod
    def of(cls, row: Any) -> Self:
        """Build the answer from a row of ``queries_resources``."""
        names = cls.model_fields.keys() - {"status"}
        return cls(
            **{name: getattr(row, name) for name in names},
            status="in_service" if row.retired_at is None else "retired",
        )


class DriverDetails(BaseModel):
    """A driver with what belongs to it, the newest of each, at most 10."""

    card: DriverCard
    driver: DriverView
    vehicles: list[VehicleView] = Field(max_length=10)
    devices: list[DeviceView] = Field(max_length=10)
    policies: list[PolicyLine] = Field(max_length=10)
    trips: list[TripLine] = Field(max_length=10)
    claims_url: str = Field(description="Where the driver's claims are listed.")


class DriverRemoval(BaseModel):
    """What became of a driver that was to go."""

    driver_id: str
    status: Literal["erasure_requested", "inactive"]
    request_id: UUID | None = Field(description="Of the erasure request, which staff carry out; null for the other.")


class BulkDrivers(_Input):
    """Drivers, and what to do with them."""

    ids: Annotated[list[EntityId], Field(min_length=1, max_length=MAX_BULK)]
    action: Literal["deactivate", "recalculate"] = Field(
        description="`deactivate`: nothing new is linked to them. `recalculate`: score them from their trips as of now."
    )


class BulkIds(_Input):
    """Devices to retire."""

    ids: Annotated[list[EntityId], Field(min_length=1, max_length=MAX_BULK)]


class BulkItem(BaseModel):
    """What became of one."""

    id: str
    result: str = Field(description="`done`, `unchanged` (it was so before), `not_found` or `refused`.")
    detail: str | None = None


class BulkResult(BaseModel):
    """What became of each, in the order asked for: all or nothing for each by itself."""

    done: int
    unchanged: int
    failed: int
    items: list[BulkItem] = Field(max_length=MAX_BULK)

    @classmethod
    def of(cls, items: list[BulkItem]) -> Self:
        """Count and build the answer."""
        done, unchanged = (sum(item.result == name for item in items) for name in ("done", "unchanged"))
        return cls(done=done, unchanged=unchanged, failed=len(items) - done - unchanged, items=items)


class VehicleFor(VehicleCreate):
    """A vehicle for a driver."""

    driver_id: EntityId


class DeviceFor(DeviceAssign):
    """A device for a driver."""

    driver_id: EntityId


class DeviceTo(_Input):
    """Who gets a device, in which vehicle, and from when on."""

    driver_id: EntityId
    vehicle_id: EntityId | None = None
    effective_from: datetime | None = Field(None, description="By default now; five minutes back at most.")

    @model_validator(mode="after")
    def _aware(self) -> Self:
        if self.effective_from is not None and self.effective_from.tzinfo is None:
            raise ValueError("effective_from must name its time zone")
        return self


class EventLine(BaseModel):
    """A stored event with its place."""

    timestamp: datetime
    device_id: str
    event_id: str
    driver_id: str
    received_at: datetime
    event_type: str
    latitude: float | None
    longitude: float | None
    speed_mph: float | None
    acceleration_g: float | None
    lateral_acceleration_g: float | None
    heading_deg: float | None
    gps_accuracy_m: float | None
    speed_limit_mph: float | None
    phone_in_use: bool | None
    quality: int = Field(description="Why it is doubtful, as bits; 0 is good.")

    @classmethod
    def of(cls, row: Any) -> Self:
        """Build the answer from a row of ``queries_events``."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class EventFeed(BaseModel):
    """Events, the newest first."""

    items: list[EventLine] = Field(max_length=1000)
    since: datetime = Field(description="The period that was looked at: from here, included,")
    until: datetime = Field(description="to here, not included.")
    next_cursor: str | None = Field(description="Give it as `cursor` to read on; null at the end.")


class EventStats(BaseModel):
    """Events of a period in figures."""

    since: datetime
    until: datetime
    total_events: int = Field(description="Exact: the stored events whose time lies in the period.")
    unique_drivers: int = Field(description="Exact: drivers with events in the period.")
    event_types: dict[str, int] = Field(description="Exact: events of the period by type.")
    stored_events: int = Field(
        description="Of all time; an estimate: PostgreSQL's statistics of each month online, and the rows of archived "
        "months as they were counted when they left."
    )


class SearchHit(BaseModel):
    """Something that was found."""

    kind: Literal["driver", "policy", "vehicle", "device", "trip", "claim"]
    id: str
    label: str
    driver_id: str | None
    url: str


class SearchResult(BaseModel):
    """What was found, by kind."""

    q: str
    hits: list[SearchHit] = Field(max_length=60)
