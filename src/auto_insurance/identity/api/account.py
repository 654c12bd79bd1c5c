"""Routes of the caller's own account: who am I, my sessions, my password."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from auto_insurance.identity.api.common import Address, Auth, PasswordDesk
from auto_insurance.identity.deps import CurrentUser, Person
from auto_insurance.identity.schemas import UserView
from auto_insurance.identity.schemas_accounts import (
    PasswordChange,
    PasswordSet,
    SessionsEnded,
    SessionsOut,
    SessionView,
)
from auto_insurance.identity.sessions import Ended
from auto_insurance.infra.http.deps import ReadTx, Tx
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/auth", tags=["auth"])


@router.get("/me", responses=problems(401, 503), summary="Who am I")
async def me(principal: CurrentUser, auth: Auth, uow: ReadTx) -> UserView:
    """Return the caller's account."""
    return UserView.of(await auth.account(uow, principal.user_id))


@router.get("/sessions", responses=problems(401, 403, 503), summary="My sessions")
async def list_sessions(caller: Person, auth: Auth, uow: ReadTx) -> SessionsOut:
    """List the caller's open sessions, the one used last first."""
    found = await auth.sessions.listed(uow, caller.user_id)
    return SessionsOut(items=[SessionView.of(one, caller.session_id) for one in found])


@router.delete("/sessions", responses=problems(401, 403, 503), summary="Sign out everywhere")
async def end_sessions(caller: Person, auth: Auth, uow: Tx) -> SessionsEnded:
    """End all of the caller's sessions, this one too; access tokens stop within a second."""
    return SessionsEnded(ended=await auth.sessions.end_all(uow, caller.user_id, Ended.OWNER))


@router.delete("/sessions/{session_id}", responses=problems(401, 403, 404, 422, 503), summary="End one of my sessions")
async def end_session(session_id: UUID, caller: Person, auth: Auth, uow: Tx) -> SessionsEnded:
    """End one session of the caller's. Somebody else's and one that has ended answer alike: 404."""
    await auth.sessions.end_own(uow, caller.user_id, session_id)
    return SessionsEnded(ended=1)


@router.post("/password", responses=problems(401, 403, 422, 429, 503), summary="Change my password")
async def change_password(
    body: PasswordChange, caller: Person, address: Address, passwords: PasswordDesk
) -> PasswordSet:
    """Change the password, against the current one. The caller's other sessions end."""
    ended = await passwords.change(
        caller, body.current_password.get_secret_value(), body.new_password.get_secret_value(), address=address
    )
    return PasswordSet(sessions_ended=ended)
