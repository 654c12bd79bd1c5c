"""Premium credits: what rewards ask of policies and their ledger."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.policies.schemas import Cover


class Policies(Protocol):
    """What is needed of the policy service."""

    async def cover_at(self, uow: UnitOfWork, driver_id: str, vehicle_id: str | None, at: datetime) -> Cover | None: ...


class Ledger(Protocol):
    """What is needed of the ledger. A reference has its effect once."""

    async def credit(
        self, uow: UnitOfWork, policy_id: str, amount: Decimal, *, reason: str, reference: str
    ) -> None: ...


class PolicyCredits:
    """Credits the policy that a driver has in force. Implements :class:`auto_insurance.rewards.service.CreditDesk`."""

    def __init__(self, policies: Policies, ledger: Ledger) -> None:
        self._policies = policies
        self._ledger = ledger

    async def policy_of(self, uow: UnitOfWork, driver_id: str, at: datetime) -> str | None:
        """Return the policy that covers any vehicle of the driver at an instant."""
        cover = await self._policies.cover_at(uow, driver_id, None, at)
        return None if cover is None else cover.policy_id

    async def credit(self, uow: UnitOfWork, policy_id: str, amount: Decimal, *, reason: str, reference: str) -> None:
        """Book the credit. Raises what the ledger raises."""
        await self._ledger.credit(uow, policy_id, amount, reason=reason, reference=reference)
