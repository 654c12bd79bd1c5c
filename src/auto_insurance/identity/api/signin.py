"""Routes of the sign-in."""

from __future__ import annotations

from fastapi import APIRouter, status

from auto_insurance.identity.api.common import Address, Auth, Client, PasswordDesk, Users
from auto_insurance.identity.deps import PUBLIC
from auto_insurance.identity.schemas import (
    LoginRequest,
    LogoutResponse,
    RefreshRequest,
    RegisterRequest,
    TokenResponse,
    UserView,
)
from auto_insurance.identity.schemas_accounts import PasswordSet, ResetConfirm, ResetRequest, ResetRequested
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/auth", tags=["auth"])


@router.post("/login", dependencies=[PUBLIC], responses=problems(401, 422, 429, 503), summary="Sign in")
async def login(body: LoginRequest, address: Address, client: Client, auth: Auth) -> TokenResponse:
    """Open a session. After five failures in a minute from one address for one account: 429 with Retry-After."""
    return await auth.login(body.username, body.password.get_secret_value(), address=address, client=client)


@router.post("/refresh", dependencies=[PUBLIC], responses=problems(401, 422, 503), summary="Renew the tokens")
async def refresh(body: RefreshRequest, auth: Auth) -> TokenResponse:
    """Exchange a refresh token, once. Using one twice ends its session."""
    return await auth.refresh(body.refresh_token.get_secret_value())


@router.post("/logout", dependencies=[PUBLIC], responses=problems(422, 503), summary="Sign out")
async def logout(body: RefreshRequest, auth: Auth) -> LogoutResponse:
    """End the session of a refresh token; its access tokens stop within a second."""
    await auth.logout(body.refresh_token.get_secret_value())
    return LogoutResponse()


@router.post(
    "/register",
    dependencies=[PUBLIC],
    status_code=status.HTTP_201_CREATED,
    responses=problems(409, 422, 503),
    summary="Create an account",
)
async def register(body: RegisterRequest, users: Users) -> UserView:
    """Create an account without any role."""
    return UserView.of(await users.register(body.username, body.email, body.password.get_secret_value()))


@router.post(
    "/password-reset",
    dependencies=[PUBLIC],
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(422, 429, 503),
    summary="Ask for a link to set a new password",
)
async def request_reset(body: ResetRequest, address: Address, passwords: PasswordDesk) -> ResetRequested:
    """Mail a link to the account's address. The answer is the same whether there is such an account or not."""
    await passwords.request_reset(body.login, address=address)
    return ResetRequested()


@router.post(
    "/password-reset/confirm",
    dependencies=[PUBLIC],
    responses=problems(422, 503),
    summary="Set a new password by a link",
)
async def confirm_reset(body: ResetConfirm, passwords: PasswordDesk) -> PasswordSet:
    """Set a new password with the token of a link, once. All sessions of the account end."""
    await passwords.confirm(body.token.get_secret_value(), body.new_password.get_secret_value())
    return PasswordSet()
