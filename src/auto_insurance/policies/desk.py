"""What every use case of policies needs: parts to work with, and policies as they stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import msgspec

from auto_insurance.drivers.schemas import DriverFacts, VehicleView
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.policies import repository
from auto_insurance.policies.errors import InvalidChange, PolicyChangedMeanwhile, PolicyNotFound
from auto_insurance.policies.lifecycle import Status
from auto_insurance.policies.rates import Rates
from auto_insurance.policies.records import Policy, Snapshot, TermRow
from auto_insurance.policies.stretches import Method
from auto_insurance.policies.writer import Writer

MAX_REASON = 500


class Drivers(Protocol):
    """What policies need of the drivers service. Raises errors of kind not_found."""

    async def facts(self, uow: UnitOfWork, driver_id: str) -> DriverFacts: ...

    async def vehicles(
        self, uow: UnitOfWork, driver_id: str, *, limit: int = 20, offset: int = 0
    ) -> tuple[Any, int]: ...


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """Periods in days, and rules of the insurer."""

    notice_days: int = 30
    """Between an insurer's notice of cancellation and the end of cover."""
    notice_nonpayment_days: int = 10
    """The same where the premium was not paid."""
    reinstate_days: int = 30
    """How long after the end of cover a policy may come back."""
    offer_days: int = 45
    """How long before the end of a term the next one is offered."""
    auto_renew: bool = True
    """Whether an offer that nobody declined is taken when the term ends."""
    insured_method: Method = Method.PRO_RATA
    """How a term is paid for that the policyholder ends early."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts."""

    rates: Rates
    drivers: Drivers
    writer: Writer
    options: PolicyOptions

    async def load(self, uow: UnitOfWork, policy_id: str, *, revision: int | None = None) -> Policy:
        """Return a policy that nobody else changes until the transaction ends.

        Raises ``PolicyNotFound``, and ``PolicyChangedMeanwhile`` if it is not at the revision that the caller saw.
        """
        policy = await repository.get_policy(uow, policy_id, lock=True)
        if policy is None:
            raise PolicyNotFound
        if revision is not None and revision != policy.revision:
            raise PolicyChangedMeanwhile(policy.revision)
        return policy

    async def snapshot(self, uow: UnitOfWork, policy: Policy, term: int) -> Snapshot:
        """Return a term with its stretches. Raises ``PolicyNotFound`` if there is no such term."""
        row = await repository.get_term(uow, policy.policy_id, term)
        if row is None:
            raise PolicyNotFound
        return Snapshot(policy=policy, row=row, stretches=await repository.stretches(uow, policy.policy_id, term))

    async def term_on(self, uow: UnitOfWork, policy: Policy, on: date | None) -> Snapshot:
        """Return the term that a day lies in, by default the one that runs. Raises ``InvalidChange``."""
        if on is None:
            return await self.snapshot(uow, policy, policy.term)
        for row in await repository.list_terms(uow, policy.policy_id):
            if row.starts_on <= on < row.ends_on and row.status != Status.QUOTED:
                return await self.snapshot(uow, policy, row.term)
        raise InvalidChange("effective_on", "no term of the policy has this day")

    async def next_term(self, uow: UnitOfWork, policy: Policy, row: TermRow) -> Snapshot | None:
        """Return the term after another one, None if there is none."""
        after = await repository.get_term(uow, policy.policy_id, row.term + 1)
        return None if after is None else await self.snapshot(uow, policy, after.term)

    async def vehicle(self, uow: UnitOfWork, driver_id: str, vehicle_id: str) -> VehicleView:
        """Return a vehicle of the driver. Raises ``InvalidChange``."""
        offset, total = 0, 1
        while offset < total:
            found, total = await self.drivers.vehicles(uow, driver_id, limit=100, offset=offset)
            for vehicle in found:
                if vehicle.vehicle_id == vehicle_id:
                    return VehicleView.model_validate(vehicle)
            offset += 100
        raise InvalidChange("vehicle_id", "the driver has no such vehicle")


def today(policy: Policy) -> date:
    """Return the date where the risk is."""
    return clock.local_date(clock.now(), policy.time_zone)


def moved(policy: Policy, row: TermRow) -> Policy:
    """Return the policy with the status of the term, if it is the one that runs."""
    return policy if row.term != policy.term else msgspec.structs.replace(policy, status=row.status)
