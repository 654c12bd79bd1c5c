"""Routes of the operators' side: small routers over services. Accounts, policies and the audit have their own."""

from __future__ import annotations

from fastapi import APIRouter

from auto_insurance.admin.api import (
    analytics,
    audit,
    dashboard,
    dead_letters,
    devices,
    drivers,
    events,
    operations,
    policies,
    trips,
    vehicles,
)

router = APIRouter()
for part in (
    dashboard,
    drivers,
    vehicles,
    devices,
    trips,
    events,
    policies,
    dead_letters,
    operations,
    analytics,
    audit,
):
    router.include_router(part.router)
