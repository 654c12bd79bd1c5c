"""The scores that premiums may follow from."""

from __future__ import annotations

from uuid import UUID

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.risk.schemas import RiskScore
from auto_insurance.risk.service import RiskService


class PriceableScores:
    """What rating reads of scores. A score that may not price is none: the premium rests on the facts alone."""

    def __init__(self, risk: RiskService) -> None:
        self._risk = risk

    async def latest(self, uow: UnitOfWork, driver_id: str) -> RiskScore | None:
        """Return the driver's newest score, None before the first and if it may not price."""
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
