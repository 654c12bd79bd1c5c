"""Routes of policies, their money and their papers."""

from __future__ import annotations

from fastapi import APIRouter

from auto_insurance.policies.api import admin, billing, details, policies

router = APIRouter()
router.include_router(admin.router)
router.include_router(billing.router)
router.include_router(details.router)
router.include_router(policies.router)
