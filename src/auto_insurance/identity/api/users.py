"""Routes of the admin console about accounts."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from auto_insurance.identity.api.common import PasswordDesk
from auto_insurance.identity.deps import staff
from auto_insurance.identity.permissions import Permission
from auto_insurance.identity.schemas import NewUser, Principal, Role, UserFilter, UserSort, UserView
from auto_insurance.identity.schemas_accounts import ResetLinkOut, SessionsEnded, UserCreate, UserPatch
from auto_insurance.identity.service import UserAdmin
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/admin/users", tags=["admin"])
Reader = Annotated[Principal, staff(Permission.VIEW_USERS)]
Manager = Annotated[Principal, staff(Permission.MANAGE_USERS)]
Accounts = Annotated[UserAdmin, service(UserAdmin)]


@router.get("", responses=problems(401, 403, 422, 503), summary="Accounts")
async def list_users(
    admin: Reader,
    accounts: Accounts,
    uow: ReadTx,
    response: Response,
    skip: Annotated[int, Query(ge=0, le=10_000_000, description="Accounts before the first.")] = 0,
    limit: Annotated[int, Query(ge=1, le=100, description="Accounts at most.")] = 100,
    search: Annotated[str, Query(max_length=64, description="Part of a name or address, or a driver's id.")] = "",
    role: Annotated[Role | None, Query(description="Only those with this role.")] = None,
    active: Annotated[bool | None, Query(description="Only open or only closed ones.")] = None,
    sort: Annotated[UserSort, Query(description="The order; a minus means descending.")] = UserSort.CREATED_DESC,
) -> list[UserView]:
    """List accounts; `X-Total-Count` says how many there are. Never a password hash."""
    wanted = UserFilter(search=search.replace("\x00", "").strip(), role=role, active=active, sort=sort)
    found, total = await accounts.listed(uow, wanted, limit=limit, offset=skip)
    response.headers["X-Total-Count"] = str(total)
    return [UserView.of(user) for user in found]


@router.post(
    "", status_code=status.HTTP_201_CREATED, responses=problems(401, 403, 409, 422, 503), summary="Make an account"
)
async def create_user(body: UserCreate, admin: Manager, accounts: Accounts, uow: Tx) -> UserView:
    """Make an account with roles. Without a password its owner sets one by a link; an integration has none ever."""
    new = NewUser(username=body.username, email=body.email, roles=body.roles, driver_id=body.driver_id)
    password = None if body.password is None else body.password.get_secret_value()
    return UserView.of(await accounts.create(uow, new, password))


@router.get("/{user_id}", responses=problems(401, 403, 404, 422, 503), summary="An account")
async def get_user(user_id: UUID, admin: Reader, accounts: Accounts, uow: ReadTx) -> UserView:
    """Return an account; never its password hash."""
    return UserView.of(await accounts.get(uow, user_id))


@router.patch("/{user_id}", responses=problems(401, 403, 404, 409, 422, 503), summary="Change an account")
async def change_user(user_id: UUID, body: UserPatch, admin: Manager, accounts: Accounts, uow: Tx) -> UserView:
    """Change e-mail address, roles, driver, or open and close it; what is not sent stays. Seen within a second."""
    return UserView.of(await accounts.change(uow, user_id, body.changes()))


@router.delete("/{user_id}", responses=problems(401, 403, 404, 409, 422, 503), summary="Close an account")
async def close_user(user_id: UUID, admin: Manager, accounts: Accounts, uow: Tx) -> UserView:
    """Close an account: its sessions and keys end, its rows stay. The last active administrator's is refused."""
    return UserView.of(await accounts.close(uow, user_id))


@router.delete(
    "/{user_id}/sessions", responses=problems(401, 403, 404, 422, 503), summary="Sign an account out everywhere"
)
async def end_sessions(user_id: UUID, admin: Manager, accounts: Accounts, uow: Tx) -> SessionsEnded:
    """End all sessions of an account; access tokens stop within a second."""
    return SessionsEnded(ended=await accounts.end_sessions(uow, user_id))


@router.post(
    "/{user_id}/password-reset",
    status_code=status.HTTP_201_CREATED,
    responses=problems(401, 403, 404, 422, 503),
    summary="Make a link to set a new password",
)
async def make_reset_link(user_id: UUID, admin: Manager, passwords: PasswordDesk, uow: Tx) -> ResetLinkOut:
    """Return a link for the account's owner, this once; it works once and for a short time."""
    link = await passwords.link_for(uow, user_id)
    return ResetLinkOut(url=link.url, expires_at=link.expires_at)


@router.post("/{user_id}/unlock", responses=problems(401, 403, 404, 422, 503), summary="Forget failed sign-ins")
async def unlock_user(user_id: UUID, admin: Manager, accounts: Accounts, uow: Tx) -> UserView:
    """Let an account sign in again at once after too many failures from many addresses."""
    return UserView.of(await accounts.unlock(uow, user_id))
