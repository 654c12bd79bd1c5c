"""The scores that premiums may follow from."""

from __future__ import annotations

from uuid import UUID

from auto_insurance.drivers.schemas import Purpose
from auto_insurance.drivers.service import ConsentService
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.risk.schemas import RiskScore
from auto_insurance.risk.service import RiskService


class PriceableScores:
    """What rating reads of scores. A score that may not price is none: the premium rests on the facts alone.

    It may not where the driver does not allow it, and where its model is one that must not price.
    """

    def __init__(self, risk: RiskService) -> None:
        self._risk = risk
        self._consents = ConsentService()

    async def latest(self, uow: UnitOfWork, driver_id: str) -> RiskScore | None:
        """Return the driver's newest score, None before the first and if it may not price."""
        if not await self._consents.allowed(uow, driver_id, Purpose.TELEMATICS_PRICING):
            return None
        score = await self._risk.latest(uow, driver_id)
        if score is None or not self._risk.models.may_price(simulated=score.simulated):
            return None
        return score

    async def get(self, uow: UnitOfWork, score_id: UUID) -> RiskScore | None:
        """Return a stored score, whatever it rests on: a premium that was made of it is made again of it."""
        return await self._risk.get(uow, score_id)

    def relativity_at(self, risk_score: float) -> float:
        """Return the claim frequency of a risk score (0-100) over the portfolio's mean, by the model in use."""
        return self._risk.relativity_at(risk_score)
