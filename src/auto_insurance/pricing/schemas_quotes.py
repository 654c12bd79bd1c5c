"""Forms of quotes."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from auto_insurance.drivers.schemas import Coverage, VehicleUse
from auto_insurance.pricing.rating import Line, RatingInputs
from auto_insurance.pricing.schemas import LineOut, Money

QUOTE_ID_PATTERN = r"^QUO-[0-9a-f]{32}$"
MAX_MILES = 200_000
State = Annotated[str, Field(pattern=r"^[A-Z]{2}$", examples=["CA"], description="State of the USA, two letters.")]
Miles = Annotated[int, Field(ge=0, le=MAX_MILES, description="Miles a year as the driver expects them.")]
Claims = Annotated[int, Field(ge=0, le=20, description="Claims before enrolment.")]
ModelYear = Annotated[int, Field(ge=1900, le=2100, description="Model year of the vehicle.")]

Product = Literal["phyd", "payd", "per_mile", "hybrid"]
"""Pay how you drive; pay as you drive; a rate per mile; both."""
Word = Annotated[str, Field(min_length=1, max_length=40)]
Choices = Annotated[dict[Word, Word], Field(max_length=12)]


class QuoteStatus(StrEnum):
    """Where a quote stands."""

    OPEN = "open"
    BOUND = "bound"
    EXPIRED = "expired"


class QuoteRequest(BaseModel):
    """What is to be priced. What is left out is unknown; for a driver of ours, as it is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: State | None = Field(None, description="Needed unless the quote is for a driver of ours.")
    coverage: Coverage | None = Field(None, description="`standard` unless told otherwise.")
    date_of_birth: date | None = None
    driver_age: int | None = Field(None, ge=14, le=120, description="Full years; instead of the date of birth.")
    licence_date: date | None = None
    licence_years: int | None = Field(None, ge=0, le=100, description="Full years; instead of the date.")
    vehicle_year: ModelYear | None = None
    vehicle_use: VehicleUse | None = None
    annual_mileage: Miles | None = None
    prior_claims: Claims | None = None
    telematics: bool | None = Field(None, description="Whether the driver will drive with a device; yes unless told.")
    postcode: str | None = Field(None, pattern=r"^[0-9]{5}$", description="Where the vehicle is kept.")
    product: Product | None = Field(None, description="`phyd` unless told otherwise.")
    choices: Choices | None = Field(None, description="Limits and deductibles by cover, as the plan names them.")
    start_date: date | None = Field(None, description="First day of cover, today to a year ahead; today if left out.")


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """A quote as it was stored; see ``models.quotes``."""

    quote_id: str
    status: str
    driver_id: str | None
    request: dict[str, Any]
    inputs: RatingInputs
    worksheet: tuple[Line, ...]
    annual_premium: Decimal
    monthly_premium: Decimal
    currency: str
    plan_version: str
    score_id: UUID | None
    created_at: datetime
    expires_at: datetime
    bound_at: datetime | None = None
    policy_id: str | None = None


class PerMileOut(BaseModel):
    """What is charged beside the fixed part for each mile."""

    rate_per_mile: str = Field(description="Exact, four decimals.")
    daily_cap_miles: int = Field(description="Of a day no more miles are charged.")
    base_per_month: Money
    expected_miles: int = Field(description="Of a year.")
    expected_annual_premium: Money = Field(description="Fixed part and expected miles of a year.")


class QuoteOut(BaseModel):
    """A quote."""

    quote_id: str = Field(description="Nobody can guess it: whoever has it may see the quote of a stranger.")
    status: QuoteStatus
    driver_id: str | None = Field(description="The driver that it was made for; null for somebody unknown.")
    start_date: date
    annual_premium: Money
    monthly_premium: Money
    currency: str
    fees: Money = Field(description="Due once a term, not part of the premium.")
    taxes: Money = Field(description="Of a year, not part of the premium.")
    per_mile: PerMileOut | None = Field(description="The rate per mile, where the product has one.")
    plan_version: str
    plan_basis: str = Field(description="What the plan's rates rest on.")
    worksheet: list[LineOut]
    created_at: datetime
    expires_at: datetime
    policy_id: str | None = Field(description="The policy that came of it.")
