"""Routes of pricing."""

from __future__ import annotations

from fastapi import APIRouter

from auto_insurance.pricing.api import plans, premiums, quotes, reports

router = APIRouter()
router.include_router(plans.router)
router.include_router(premiums.router)
router.include_router(reports.router)
router.include_router(quotes.router)
