"""Routes of the sign-in by an identity provider; 404 where none is configured."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Cookie, Query, Response, status
from fastapi.responses import RedirectResponse

from auto_insurance.identity.api.common import Address, Client
from auto_insurance.identity.deps import PUBLIC
from auto_insurance.identity.errors import OidcRefused
from auto_insurance.identity.schemas import TokenResponse
from auto_insurance.identity.service import OidcService
from auto_insurance.infra.http.deps import service
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/auth/oidc", tags=["auth"])
Oidc = Annotated[OidcService, service(OidcService)]
COOKIE = "oidc_state"
_PATH = "/api/v1/auth/oidc"


@router.get(
    "/start",
    dependencies=[PUBLIC],
    status_code=status.HTTP_303_SEE_OTHER,
    response_class=RedirectResponse,
    responses=problems(401, 404, 429, 503),
    summary="Sign in by the identity provider",
)
async def start(address: Address, oidc: Oidc) -> RedirectResponse:
    """Lead to the identity provider; it sends the browser back to the callback."""
    departure = await oidc.start(address=address)
    answer = RedirectResponse(departure.url, status.HTTP_303_SEE_OTHER)
    # The state must come back in the same browser, or anybody could sign somebody in as himself.
    answer.set_cookie(
        COOKIE,
        departure.state,
        max_age=departure.holds_s,
        path=_PATH,
        httponly=True,
        samesite="lax",
        secure=oidc.secure_cookies,
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.get(
    "/callback",
    dependencies=[PUBLIC],
    responses=problems(401, 404, 422, 503),
    summary="Come back from the identity provider",
)
async def callback(
    oidc: Oidc,
    client: Client,
    response: Response,
    state: Annotated[str, Query(max_length=128, description="As it was sent to the provider.")],
    code: Annotated[str | None, Query(max_length=4096, description="What the provider exchanges for a token.")] = None,
    error: Annotated[str | None, Query(max_length=128, description="Why the provider says no.")] = None,
    iss: Annotated[str | None, Query(max_length=512, description="Who the provider is (RFC 9207).")] = None,
    state_here: Annotated[str | None, Cookie(alias=COOKIE, max_length=128)] = None,
) -> TokenResponse:
    """Check what the provider answered and open a session. Each state counts once."""
    oidc.there()
    response.delete_cookie(COOKIE, path=_PATH)
    response.headers["Cache-Control"] = "no-store"
    if code is None or error is not None:
        raise OidcRefused
    return await oidc.finish(code=code, state=state, state_here=state_here, issuer=iss, client=client)
