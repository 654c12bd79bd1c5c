"""Routes of accounts: the sign-in, what people do with their own account, what staff do with all."""

from __future__ import annotations

from fastapi import APIRouter

from auto_insurance.identity.api import account, keys, oidc, signin, users

router = APIRouter()
for part in (signin, account, keys, oidc, users):
    router.include_router(part.router)
