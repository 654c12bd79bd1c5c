"""Forms of what clients ask of policies."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from auto_insurance.drivers.schemas import Coverage, EntityId, Postcode, State, VehicleUse
from auto_insurance.policies.lifecycle import Status
from auto_insurance.policies.postings import InstalmentPlan
from auto_insurance.policies.stopping import Initiator
from auto_insurance.policies.stretches import Method

POLICY_ID_PATTERN = r"^POL-[0-9]{6,12}$"


def _plain(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be printable text")
    return value.strip()


Reason = Annotated[str, Field(min_length=3, max_length=500), AfterValidator(_plain)]
Revision = Annotated[
    int | None, Field(ge=1, le=1_000_000, description="The revision that you saw; refused if it is not that one now.")
]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class BindIn(_Input):
    """How to bind a quote."""

    months: Literal[6, 12] = Field(12, description="Length of the term.")
    driver_id: EntityId | None = Field(None, description="Who is insured; needed for a quote of somebody unknown.")
    vehicle_id: EntityId | None = Field(None, description="The vehicle; by default the driver's newest.")
    instalments: InstalmentPlan | None = None


class RiskChangesIn(_Input):
    """Facts that change. What is left out stays."""

    vehicle_id: EntityId | None = None
    vehicle_use: VehicleUse | None = None
    state: State | None = None
    postcode: Postcode | None = None
    coverage: Coverage | None = None
    choices: dict[EntityId, Annotated[str, Field(max_length=32)]] | None = Field(
        None, max_length=20, description="Limits and deductibles that differ from the package's, by cover."
    )
    annual_mileage: int | None = Field(None, ge=0, le=200_000)
    prior_claims: int | None = Field(None, ge=0, le=20)
    date_of_birth: date | None = None
    licence_date: date | None = None
    participating: bool | None = Field(None, description="Whether the driver drives with a device.")

    def given(self) -> dict[str, Any]:
        """Return the facts that were sent, in the form in which policies keep them."""
        return self.model_dump(mode="json", exclude_none=True)


class EndorseIn(_Input):
    """A change of a policy from a day on."""

    effective_on: date = Field(description="First day of the change, of any term; earlier than later changes, too.")
    changes: RiskChangesIn = RiskChangesIn()
    reason: Reason
    newest_score: bool = Field(False, description="Price the rest of the term with the newest score. Staff only.")
    revision: Revision = None


class CancelIn(_Input):
    """The early end of a policy."""

    reason: Reason
    initiator: Initiator = Initiator.INSURED
    effective_on: date | None = Field(None, description="First day without cover; by default as early as it can be.")
    method: Method | None = Field(None, description="How the term is paid for; by default by the rules. Staff only.")
    revision: Revision = None


class ReinstateIn(_Input):
    """Cover without a gap, after a cancellation or a lapse."""

    reason: Reason
    no_losses: bool = Field(False, description="The policyholder states that nothing happened since cover stopped.")
    revision: Revision = None


class DeclineIn(_Input):
    """No next term."""

    reason: Reason = "declined by the policyholder"


class RenewIn(_Input):
    """The next term."""

    months: Literal[6, 12] | None = Field(None, description="By default as before.")
    revision: Revision = None


class PolicyCreate(_Input):
    """A driver to insure, with what is known of the driver."""

    driver_id: EntityId
    months: Literal[6, 12] = Field(12, description="Length of the term.")
    starts_on: date | None = Field(None, description="First day of cover; today if left out.")
    coverage: Coverage | None = None
    annual_mileage: int | None = Field(None, ge=0, le=200_000)
    vehicle_id: EntityId | None = None
    instalments: InstalmentPlan | None = None


class PolicyPatch(_Input):
    """A change by staff: `status: cancelled`, or facts."""

    status: Literal[Status.CANCELLED] | None = None
    changes: RiskChangesIn = RiskChangesIn()
    effective_on: date | None = None
    initiator: Initiator = Initiator.INSURED
    method: Method | None = None
    reason: Reason
    revision: Revision = None
