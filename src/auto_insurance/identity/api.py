"""Routes of the sign-in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, status

from auto_insurance.identity.deps import PUBLIC, CurrentUser
from auto_insurance.identity.schemas import (
    LoginRequest,
    LogoutResponse,
    RefreshRequest,
    RegisterRequest,
    TokenResponse,
    UserView,
)
from auto_insurance.identity.service import AuthService, UserService
from auto_insurance.infra.http.deps import ReadTx, service
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/auth", tags=["auth"])
_Auth = Annotated[AuthService, service(AuthService)]
_Users = Annotated[UserService, service(UserService)]


@router.post("/login", dependencies=[PUBLIC], responses=problems(401, 422, 429, 503), summary="Sign in")
async def login(body: LoginRequest, request: Request, auth: _Auth) -> TokenResponse:
    """Open a session. After five failures in a minute from one address for one account: 429 with Retry-After."""
    address = request.client.host if request.client else "unknown"
    return await auth.login(body.username, body.password.get_secret_value(), address=address)


@router.post("/refresh", dependencies=[PUBLIC], responses=problems(401, 422, 503), summary="Renew the tokens")
async def refresh(body: RefreshRequest, auth: _Auth) -> TokenResponse:
    """Exchange a refresh token, once. Using one twice ends its session."""
    return await auth.refresh(body.refresh_token.get_secret_value())


@router.post("/logout", dependencies=[PUBLIC], responses=problems(422, 503), summary="Sign out")
async def logout(body: RefreshRequest, auth: _Auth) -> LogoutResponse:
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
async def register(body: RegisterRequest, users: _Users) -> UserView:
    """Create an account without any role."""
    return UserView.of(await users.register(body.username, body.email, body.password.get_secret_value()))


@router.get("/me", responses=problems(401, 503), summary="Who am I")
async def me(principal: CurrentUser, auth: _Auth, uow: ReadTx) -> UserView:
    """Return the caller's account."""
    return UserView.of(await auth.account(uow, principal))
