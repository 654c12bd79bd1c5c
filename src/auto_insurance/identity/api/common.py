"""What the routes of accounts share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from auto_insurance.identity.service import ApiKeyService, AuthService, PasswordService, UserService
from auto_insurance.infra.http.deps import service

Auth = Annotated[AuthService, service(AuthService)]
Users = Annotated[UserService, service(UserService)]
PasswordDesk = Annotated[PasswordService, service(PasswordService)]


async def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


async def _client(request: Request) -> str | None:
    return request.headers.get("User-Agent")


async def _api_keys(auth: Auth) -> ApiKeyService:
    return auth.api_keys


Address = Annotated[str, Depends(_address)]
"""Where a request comes from, as far as the proxies are believed."""
Client = Annotated[str | None, Depends(_client)]
"""What the program that calls names itself."""
ApiKeys = Annotated[ApiKeyService, Depends(_api_keys)]
