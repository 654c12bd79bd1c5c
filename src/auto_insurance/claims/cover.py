"""What claims ask of policies: the cover that held when a loss happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.schemas import Cover


class LossCover(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a policy that covers a loss. Amounts in the policy's currency; None: not stated."""

    policy_id: str
    term: int
    limit: Decimal | None
    deductible: Decimal | None
    currency: str


class CoverSource(Protocol):
    """Answers what covered a loss. ``vehicle_id`` None asks for any vehicle of the driver."""

    async def for_loss(
        self, uow: UnitOfWork, driver_id: str, vehicle_id: str | None, at: datetime, coverage: str
    ) -> LossCover | None: ...


class Policies(Protocol):
    """What is needed of the policy service."""

    async def cover_at(self, uow: UnitOfWork, driver_id: str, vehicle_id: str | None, at: datetime) -> Cover | None: ...


PARTS: Mapping[str, frozenset[str]] = {
    "liability": frozenset({"liability", "bodily_injury", "property_damage"}),
    "collision": frozenset({"collision"}),
    "comprehensive": frozenset({"comprehensive"}),
}
"""Which covers of a policy a claim may be made under."""


class PolicyCover:
    """Asks policies. Implements :class:`CoverSource`."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    async def for_loss(
        self, uow: UnitOfWork, driver_id: str, vehicle_id: str | None, at: datetime, coverage: str
    ) -> LossCover | None:
        """Return the part of the policy in force at the loss that covers it, None without one."""
        cover = await self._policies.cover_at(uow, driver_id, vehicle_id, at)
        return None if cover is None else part_of(cover, coverage)


def part_of(cover: Cover, coverage: str) -> LossCover | None:
    """Return what a policy has of a coverage. Limits of several parts add up; a part without one leaves it open."""
    held = [part for part in cover.coverages if part.coverage in PARTS[coverage]]
    if not held:
        return None
    limits = [part.limit for part in held if part.limit is not None]
    deductibles = [part.deductible for part in held if part.deductible is not None]
    return LossCover(
        policy_id=cover.policy_id,
        term=cover.term,
        limit=sum(limits, Decimal(0)) if len(limits) == len(held) else None,
        deductible=max(deductibles, default=None),
        currency=cover.currency,
    )
