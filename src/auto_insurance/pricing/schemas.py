"""Forms in which other domains and HTTP clients see premiums.

Over HTTP amounts of money are JSON numbers with at most two decimals, which a double carries exactly enough to print
the same again. The lines of a worksheet carry decimals as strings: they are exact, so that anybody can replay them.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field, PlainSerializer

from auto_insurance.pricing.facts import RiskChanges
from auto_insurance.pricing.rating import Line, RatingInputs

Money = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]


class PremiumKind(StrEnum):
    """What a premium version is for."""

    INDICATED = "indicated"
    CHARGED = "charged"


class PremiumStatus(StrEnum):
    """Whether a premium version is only shown or in force."""

    INDICATED = "indicated"
    ACTIVE = "active"


ChargeReason = Literal["bind", "renewal", "month_end", "endorsement", "correction", "recalculation"]
"""Why a charged premium may change; a score alone is none of them."""

# --- what other domains read ---


class Driving(msgspec.Struct, frozen=True, kw_only=True):
    """The driving behind a price: its features, over which window, as known at which instant, and by which model."""

    model_version: str
    features: dict[str, float | None]
    miles: float
    trip_count: int
    window_from: datetime
    window_to: datetime
    trips_until: datetime | None
    """End of the last trip that counted."""
    known_at: datetime
    relativity: float
    confidence: float


class Premium(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a driver's premium as it was stored; see ``models.premiums``."""

    premium_id: UUID
    driver_id: str
    version: int
    kind: str
    status: str
    effective_date: date
    annual_premium: Decimal
    monthly_premium: Decimal
    currency: str
    plan_version: str
    model_version: str | None
    score_id: UUID | None
    worksheet: tuple[Line, ...]
    inputs: RatingInputs
    reason: str
    created_at: datetime
    policy_id: str | None = None
    segment: int | None = None
    corrects: int | None = None
    changes: RiskChanges | None = None
    driving: Driving | None = None
    driving_from: datetime | None = None
    driving_to: datetime | None = None


class Premiums(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver pays, and what the latest score says that they should; None before the first score."""

    charged: Premium
    indicated: Premium | None


# --- HTTP ---


class PremiumOut(BaseModel):
    """A version of a premium."""

    version: int = Field(description="Counts the driver's premiums, indicated and charged, from 1.")
    kind: PremiumKind
    status: PremiumStatus
    effective_date: date
    currency: str = Field(examples=["USD"])
    annual_premium: Money
    monthly_premium: Money
    final_premium: Money = Field(description="The year's premium after all factors, discounts and surcharges.")
    plan_version: str
    model_version: str | None = Field(description="The risk model; null if no score was used.")
    score_id: UUID | None
    reason: str
    created_at: datetime
    policy_id: str | None = Field(description="The policy that it is charged for.")
    corrects: int | None = Field(description="The version whose place a correction takes.")

    @classmethod
    def of(cls, premium: Premium) -> Self:
        """Build the answer from a stored premium."""
        return cls.model_validate(premium_fields(premium))


class CurrentPremiumOut(PremiumOut):
    """The charged premium with the indicated one beside it."""

    driver_id: str
    plan_basis: str = Field(description="What the plan's rates rest on.")
    indicated: PremiumOut | None = Field(description="What the latest score gives; nobody is charged it yet.")
    indicated_monthly_difference: Money | None = Field(description="Indicated minus charged; negative: cheaper.")


class LineOut(BaseModel):
    """A step of the worksheet; decimals are strings and exact."""

    step: int
    code: str
    label: str
    input: str
    operation: str = Field(
        description="start, add, multiply, at_least, round (to cents, half up), share (multiply and round), divide "
        "(and round), per_unit (divide and round to four decimals)."
    )
    factor: str | None
    amount_before: str
    amount_after: str
    source: str = Field(description="The row of the rating plan.")
    detail: dict[str, str]


class AdjustmentOut(BaseModel):
    """What a step took off or put on, in money a year."""

    code: str
    label: str
    factor: str | None
    amount: Money


class WorksheetOut(PremiumOut):
    """A premium with every step to it."""

    base_premium: Money
    discounts: list[AdjustmentOut] = Field(description="Steps that lowered the premium; amounts are negative.")
    surcharges: list[AdjustmentOut] = Field(description="Steps that raised it.")
    total_discount: Money
    total_surcharge: Money
    telematics_amount: Money = Field(description="What the driving itself changes, in money a year.")
    worksheet: list[LineOut]


class PremiumBreakdownOut(BaseModel):
    """The stored worksheets of the charged and of the indicated premium."""

    driver_id: str
    plan_basis: str
    charged: WorksheetOut
    indicated: WorksheetOut | None


def premium_fields(premium: Premium) -> dict[str, Any]:
    """Return the fields of :class:`PremiumOut`."""
    names = set(PremiumOut.model_fields) - {"final_premium"}
    return {**{name: getattr(premium, name) for name in names}, "final_premium": premium.annual_premium}
