"""Routes of risk."""

from __future__ import annotations

from fastapi import APIRouter

from auto_insurance.risk.api import models, reports, scores

router = APIRouter(prefix="/risk", tags=["risk"])
router.include_router(models.router)
router.include_router(reports.router)
router.include_router(scores.router)
