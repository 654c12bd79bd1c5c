"""What claims ask of policies: the cover that held when a loss happened."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from auto_insurance.infra.db.uow import UnitOfWork


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


class NoCover:
    """Knows no policy: nothing is covered."""

    async def for_loss(
        self, uow: UnitOfWork, driver_id: str, vehicle_id: str | None, at: datetime, coverage: str
    ) -> LossCover | None:
        """Return None."""
        return None
