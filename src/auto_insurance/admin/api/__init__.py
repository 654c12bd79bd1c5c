"""Routes of the admin console."""

from __future__ import annotations

from fastapi import APIRouter

from auto_insurance.admin.api import audit

router = APIRouter()
router.include_router(audit.router)
