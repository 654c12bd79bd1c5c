"""Routes of API keys: one's own, and those of integrations."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, status

from auto_insurance.identity.api.common import ApiKeys, Auth
from auto_insurance.identity.deps import Person, staff
from auto_insurance.identity.errors import NotAllowed
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.schemas import Principal, Role
from auto_insurance.identity.schemas_accounts import ApiKeyIn, ApiKeyIssued, ApiKeyView
from auto_insurance.identity.service import UserAdmin
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.pagination import Page, PageParams

router = APIRouter()
Reader = Annotated[Principal, staff(Permission.VIEW_USERS)]
Manager = Annotated[Principal, staff(Permission.MANAGE_USERS)]
Accounts = Annotated[UserAdmin, service(UserAdmin)]


@router.get("/auth/api-keys", tags=["auth"], responses=problems(401, 403, 422, 503), summary="My API keys")
async def list_keys(caller: Person, keys: ApiKeys, page: PageParams, uow: ReadTx) -> Page[ApiKeyView]:
    """List the caller's keys, newest first; never a key itself."""
    found, total = await keys.listed(uow, caller.user_id, limit=page.limit, offset=page.offset)
    return Page.of([ApiKeyView.of(key) for key in found], total, page)


@router.post(
    "/auth/api-keys",
    tags=["auth"],
    status_code=status.HTTP_201_CREATED,
    responses=problems(401, 403, 409, 422, 503),
    summary="Make an API key",
)
async def make_key(body: ApiKeyIn, caller: Person, keys: ApiKeys, auth: Auth, uow: Tx) -> ApiKeyIssued:
    """Return a key, this once. It does what both its scopes and the caller's roles allow."""
    owner = await auth.account(uow, caller.user_id)
    return ApiKeyIssued.issued(await keys.issue(uow, owner, body.order(), caller.user_id))


@router.delete(
    "/auth/api-keys/{key_id}", tags=["auth"], responses=problems(401, 403, 404, 422, 503), summary="End an API key"
)
async def end_key(key_id: UUID, caller: Person, keys: ApiKeys, uow: Tx) -> ApiKeyView:
    """End one of the caller's keys; it stops within a second."""
    return ApiKeyView.of(await keys.revoke(uow, key_id, caller.user_id))


@router.get(
    "/admin/users/{user_id}/api-keys",
    tags=["admin"],
    responses=problems(401, 403, 404, 422, 503),
    summary="An account's API keys",
)
async def list_keys_of(
    user_id: UUID, admin: Reader, keys: ApiKeys, accounts: Accounts, page: PageParams, uow: ReadTx
) -> Page[ApiKeyView]:
    """List an account's keys, newest first; never a key itself."""
    await accounts.get(uow, user_id)
    found, total = await keys.listed(uow, user_id, limit=page.limit, offset=page.offset)
    return Page.of([ApiKeyView.of(key) for key in found], total, page)


@router.post(
    "/admin/users/{user_id}/api-keys",
    tags=["admin"],
    status_code=status.HTTP_201_CREATED,
    responses=problems(401, 403, 404, 409, 422, 503),
    summary="Make an API key for an integration",
)
async def make_key_for(
    user_id: UUID, body: ApiKeyIn, admin: Manager, keys: ApiKeys, accounts: Accounts, uow: Tx
) -> ApiKeyIssued:
    """Return a key of an account with the role `service`, this once. People make their own keys."""
    owner = await accounts.get(uow, user_id)
    if Role.SERVICE not in owner.roles or not owner.is_active:
        raise NotAllowed("Staff make keys for open accounts of integrations; people make their own.")
    return ApiKeyIssued.issued(await keys.issue(uow, owner, body.order(), admin.user_id))


@router.delete(
    "/admin/api-keys/{key_id}",
    tags=["admin"],
    responses=problems(401, 403, 404, 422, 503),
    summary="End anybody's API key",
)
async def end_key_of(key_id: UUID, admin: Manager, keys: ApiKeys, uow: Tx) -> ApiKeyView:
    """End a key, whosever it is; it stops within a second."""
    return ApiKeyView.of(await keys.revoke(uow, key_id))
