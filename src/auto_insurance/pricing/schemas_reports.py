"""Forms of the answers about a price: what if, compared with what, since when, which discounts."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from auto_insurance.drivers.schemas import Coverage, VehicleUse
from auto_insurance.pricing.schemas import AdjustmentOut, LineOut, Money
from auto_insurance.pricing.schemas_quotes import Choices, Claims, Miles, ModelYear, PerMileOut, Product, State


class SimulationRequest(BaseModel):
    """What would be different; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    risk_score: float | None = Field(None, ge=0, le=100, description="0 to 100, 100 is riskiest.")
    confidence: float | None = Field(
        None, ge=0, le=1, description="How much the score counts; as for the newest score, 1 where there is none."
    )
    annual_mileage: Miles | None = None
    driven_miles: Miles | None = Field(None, description="Miles of a year as driven, for products that count them.")
    coverage: Coverage | None = None
    choices: Choices | None = Field(None, description="Limits and deductibles by cover, as the plan names them.")
    product: Product | None = None
    vehicle_use: VehicleUse | None = None
    vehicle_year: ModelYear | None = None
    prior_claims: Claims | None = None
    state: State | None = None
    telematics: bool | None = Field(None, description="Whether the driver drives with a device.")


class SimulationOut(BaseModel):
    """A price that nobody is charged; nothing of it is stored."""

    driver_id: str
    annual_premium: Money
    monthly_premium: Money
    currency: str
    fees: Money
    taxes: Money
    per_mile: PerMileOut | None
    current_annual_premium: Money | None = Field(description="As charged today; null before the first premium.")
    current_monthly_premium: Money | None
    annual_difference: Money | None = Field(description="Negative: cheaper than today.")
    monthly_difference: Money | None
    changed: dict[str, Any] = Field(description="What was asked to be different.")
    confidence: float = Field(description="How much the score counted.")
    relativity: float = Field(description="Claim frequency that was assumed, over the portfolio's mean.")
    plan_version: str
    plan_basis: str
    worksheet: list[LineOut]


class ComparisonOut(BaseModel):
    """The charged price beside the traditional one: the same facts without a device."""

    driver_id: str
    currency: str
    effective_date: date
    plan_version: str
    plan_basis: str
    charged_annual_premium: Money
    charged_monthly_premium: Money
    indicated_annual_premium: Money | None = Field(description="What the latest score gives.")
    traditional_annual_premium: Money
    traditional_monthly_premium: Money
    annual_savings: Money = Field(description="Traditional minus charged; negative: the device makes it dearer.")
    savings_percent: float
    note: str
    traditional_worksheet: list[LineOut]


class DiscountOut(BaseModel):
    """A way to a lower price, and how far it is used."""

    code: str
    label: str
    factor: str = Field(description="As charged; 1 takes nothing off.")
    percent: float = Field(description="Of the price before it; negative is a discount.")
    annual_amount: Money
    best_percent: float = Field(description="The most that the plan gives.")


class DiscountInfoOut(BaseModel):
    """What lowers and raises a driver's price, and what is possible."""

    driver_id: str
    currency: str
    plan_version: str
    plan_basis: str
    participation: DiscountOut
    driving: DiscountOut
    max_change_per_term_percent: float = Field(
        description="The driving factor moves by at most this from term to term."
    )
    worst_driving_percent: float = Field(description="The most that driving can add.")
    best_annual_premium: Money = Field(description="The price at the best driving factor, however many terms away.")
    discounts: list[AdjustmentOut]
    surcharges: list[AdjustmentOut]


class RecalculationRequest(BaseModel):
    """Why staff price the running term again."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field("", max_length=200, description="Kept with the premium's reason.")
