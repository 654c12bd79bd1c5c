"""Forms in which other domains and HTTP clients see drivers, vehicles and devices."""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Self
from uuid import UUID
from zoneinfo import available_timezones

import msgspec
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, EmailStr, Field, model_validator

from auto_insurance.identity.schemas import DeviceKey, IssuedKey, RegisterRequest, Scope


class Coverage(StrEnum):
    """How much the policy covers."""

    LIABILITY = "liability"
    STANDARD = "standard"
    FULL = "full"


class VehicleUse(StrEnum):
    """What a vehicle is mostly driven for."""

    PRIVATE = "private"
    COMMUTE = "commute"
    BUSINESS = "business"


class DeviceKind(StrEnum):
    """What sends the events."""

    PHONE = "phone"
    OBD = "obd"
    TRACKER = "tracker"


class DriverStatus(StrEnum):
    """Where a driver stands."""

    ACTIVE = "active"
    ERASURE_REQUESTED = "erasure_requested"
    ERASED = "erased"


# --- what other domains read ---


class VehicleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What rating needs of a vehicle."""

    vehicle_id: str
    make: str
    model: str
    year: int
    use: str
    """``private``, ``commute`` or ``business``."""


class DriverFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What scoring and rating need of a driver. ``vehicle`` is the one that was added last."""

    driver_id: str
    full_name: str | None
    date_of_birth: date | None
    licence_date: date | None
    time_zone: str
    state: str
    postcode: str | None
    declared_annual_mileage: int | None
    prior_claims: int
    coverage: str
    """``liability``, ``standard`` or ``full``."""
    vehicle: VehicleFacts | None
    enrolled_at: datetime


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Whose device it was: driver, vehicle if stated, and the driver's time zone (IANA)."""

    driver_id: str
    vehicle_id: str | None
    time_zone: str
    withheld: bool = False
    """Whether the driver does not allow telemetry now, or was erased."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """An assignment and when it held: [from_us, to_us), microseconds since the epoch, open if ``to_us`` is None."""

    from_us: int
    to_us: int | None
    assignment: Assignment


class DeviceHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a device was, and when: spans in order of time, without overlap, gaps possible."""

    device_id: str
    spans: tuple[Span, ...] = ()

    def at(self, t_us: int) -> Assignment | None:
        """Return the assignment at an instant (microseconds since the epoch), None if there was none."""
        index = bisect_right(self.spans, t_us, key=_start) - 1
        if index < 0:
            return None
        span = self.spans[index]
        return span.assignment if span.to_us is None or t_us < span.to_us else None


def _start(span: Span) -> int:
    return span.from_us


class Purpose(StrEnum):
    """The purposes that processing asks for. What each means is in ``data/consents.toml``."""

    TELEMATICS = "telematics"
    """Events are taken at all."""
    TELEMATICS_PRICING = "telematics_pricing"
    """Scores move the price."""
    LOCATION_HISTORY = "location_history"
    """Places of past trips are kept and shown to staff who may locate."""
    COACHING = "coaching"
    """Tips are drawn from the own driving."""
    TRAINING = "training"
    """The driving is in the data that models learn from."""
    MARKETING = "marketing"
    THIRD_PARTY_SHARING = "third_party_sharing"


# --- HTTP ---


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def check_time_zone(name: str) -> str:
    """Return an IANA time zone's name. Raises ``ValueError`` if there is none of that name."""
    if name not in _time_zones():
        raise ValueError("not an IANA time zone")
    return name


def _plain(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be printable text")
    return value.strip()


Name = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_plain)]
Line = Annotated[str, Field(max_length=200), AfterValidator(_plain)]
EntityId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
TimeZone = Annotated[str, Field(max_length=64, examples=["America/Chicago"]), AfterValidator(check_time_zone)]
State = Annotated[str, Field(pattern=r"^[A-Z]{2}$", examples=["IL"])]
Postcode = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 -]{1,11}$", examples=["60601"])]
Vin = Annotated[str, Field(pattern=r"^[A-HJ-NPR-Z0-9]{17}$", examples=["1HGCM82633A004352"])]
"""ISO 3779: 17 characters without I, O and Q. The check digit is North American only and therefore not asked for."""


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class VehicleCreate(_Input):
    """A vehicle to add to a driver."""

    make: Name
    model: Name
    year: Annotated[int, Field(ge=1900, le=2100)]
    use: VehicleUse = VehicleUse.PRIVATE
    vin: Vin | None = None


class ContactUpdate(_Input):
    """What a driver may change; a field that is absent stays, null clears."""

    email: Annotated[EmailStr, Field(max_length=254)] | None = None
    phone: Annotated[str, Field(pattern=r"^\+?[0-9 ()./-]{5,30}$")] | None = None
    street_address: Line | None = None
    city: Line | None = None


class DriverCreate(_Input):
    """A driver to enrol, with a vehicle and a login if wanted."""

    full_name: Name | None = None
    date_of_birth: date | None = None
    licence_date: date | None = None
    state: State
    postcode: Postcode | None = None
    time_zone: TimeZone | None = None
    declared_annual_mileage: Annotated[int, Field(ge=0, le=200_000)] | None = None
    prior_claims: Annotated[int, Field(ge=0, le=50)] = 0
    coverage: Coverage = Coverage.STANDARD
    contact: ContactUpdate = ContactUpdate()
    vehicle: VehicleCreate | None = None
    login: RegisterRequest | None = None

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.date_of_birth and self.licence_date and self.licence_date <= self.date_of_birth:
            raise ValueError("licence_date must be after date_of_birth")
        return self


class DriverChange(ContactUpdate):
    """What staff may change of a driver; a field that is absent stays, null clears where there may be nothing."""

    full_name: Name | None = None
    date_of_birth: date | None = None
    licence_date: date | None = None
    state: State | None = None
    postcode: Postcode | None = None
    time_zone: TimeZone | None = None
    declared_annual_mileage: Annotated[int, Field(ge=0, le=200_000)] | None = None
    prior_claims: Annotated[int, Field(ge=0, le=50)] | None = None
    coverage: Coverage | None = None
    is_active: bool | None = Field(None, description="False: nothing new is linked to the driver from now on.")

    @model_validator(mode="after")
    def _nothing_needed_is_cleared(self) -> Self:
        for name in ("state", "time_zone", "prior_claims", "coverage", "is_active"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} must not be null; leave it out to keep it")
        return self


class VehicleChange(_Input):
    """What may change of a vehicle; a field that is absent stays, null clears the identification number alone."""

    make: Name | None = None
    model: Name | None = None
    year: Annotated[int, Field(ge=1900, le=2100)] | None = None
    use: VehicleUse | None = None
    vin: Vin | None = None

    @model_validator(mode="after")
    def _nothing_needed_is_cleared(self) -> Self:
        for name in ("make", "model", "year", "use"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} must not be null; leave it out to keep it")
        return self


class DeviceAssign(_Input):
    """A device for a driver: a new one, or an existing one that changes hands at ``effective_from`` (default now)."""

    device_id: EntityId | None = None
    kind: DeviceKind = DeviceKind.PHONE
    vehicle_id: EntityId | None = None
    effective_from: AwareDatetime | None = None
    scopes: Annotated[frozenset[Scope], Field(min_length=1)] = frozenset({Scope.INGEST})


class KeyRotate(_Input):
    """How to replace a key: the old one goes on working for ``grace_s`` seconds, a week at most."""

    grace_s: Annotated[int, Field(ge=0, le=7 * 86_400, description="Overlap of both keys, in seconds.")] = 0
    scopes: Annotated[frozenset[Scope], Field(min_length=1)] | None = None


class DriverView(BaseModel):
    """A driver as the owner and staff see it."""

    driver_id: str
    full_name: str | None
    date_of_birth: date | None
    licence_date: date | None
    state: str
    postcode: str | None
    time_zone: str
    declared_annual_mileage: int | None
    prior_claims: int
    coverage: Coverage
    email: str | None
    phone: str | None
    street_address: str | None
    city: str | None
    status: DriverStatus
    enrolled_at: datetime
    deactivated_at: datetime | None = Field(None, description="Since when nothing new is linked to the driver.")


class VehicleView(BaseModel):
    """A vehicle."""

    vehicle_id: str
    driver_id: str
    make: str
    model: str
    year: int
    use: VehicleUse
    vin: str | None
    created_at: datetime


class DeviceView(BaseModel):
    """A device and when it was this driver's. ``last_used_at`` is right to the hour and only shown while it is."""

    device_id: str
    kind: DeviceKind
    vehicle_id: str | None
    assigned_from: datetime
    assigned_to: datetime | None
    retired_at: datetime | None
    scopes: list[str] = []
    last_used_at: datetime | None = None


class DeviceKeyView(BaseModel):
    """A device with its new key. The key is shown this once."""

    device_id: str
    driver_id: str
    scopes: list[str]
    key: Annotated[str, Field(repr=False)]

    @classmethod
    def of(cls, driver_id: str, issued: IssuedKey) -> DeviceKeyView:
        """Return the view of a key that has just been issued."""
        return cls(
            device_id=issued.device_id,
            driver_id=driver_id,
            scopes=sorted(issued.scopes),
            key=issued.key.get_secret_value(),
        )


class DeviceKeyFactsView(BaseModel):
    """What is known of one key of a device; never the key. ``last_used_at`` is right to the hour."""

    key_id: UUID
    prefix: str | None = Field(description="How the key begins; null for keys from before it was kept.")
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime | None
    ends_at: datetime | None = Field(description="When it ended or will; null for one that holds on.")

    @classmethod
    def of(cls, key: DeviceKey) -> DeviceKeyFactsView:
        """Return the view of a key."""
        return cls(
            key_id=key.key_id,
            prefix=key.prefix,
            scopes=sorted(key.scopes),
            created_at=key.created_at,
            last_used_at=key.last_used_at,
            ends_at=key.ends_at,
        )


class DeviceRetired(BaseModel):
    """A device that is out of service."""

    device_id: str
    status: str = "retired"


class ErasureView(BaseModel):
    """A request for erasure; staff carry it out."""

    request_id: UUID
    driver_id: str
    status: str
    requested_at: datetime


class ErasureRequest(BaseModel):
    """An erasure request as staff see it."""

    request_id: UUID
    driver_id: str
    status: str
    source: str = Field(description="`person`: somebody asked; `retention`: the account was idle for too long.")
    requested_at: datetime
    decided_by: str | None
    started_at: datetime | None
    finished_at: datetime | None
    note: str | None
