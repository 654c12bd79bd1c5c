"""Routes of quotes: for anybody, and for drivers of ours with what is known of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response, status

from auto_insurance.identity.deps import OptionalUser, optional_driver_for
from auto_insurance.identity.policy import Action
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.idempotency import OnceIfAsked
from auto_insurance.pricing.api.premiums import Pricing
from auto_insurance.pricing.errors import QuoteNotFound
from auto_insurance.pricing.quotes import QuoteDoor, may_see
from auto_insurance.pricing.schemas_quotes import QUOTE_ID_PATTERN, Quote, QuoteOut, QuoteRequest
from auto_insurance.pricing.service import PricingService
from auto_insurance.pricing.views import quote_out

router = APIRouter(tags=["quotes"])
Door = Annotated[QuoteDoor, service(QuoteDoor)]
QuoteId = Annotated[str, Path(pattern=QUOTE_ID_PATTERN)]


async def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


Address = Annotated[str, Depends(_address)]


@router.post(
    "/quotes",
    summary="Ask for a quote",
    status_code=status.HTTP_201_CREATED,
    response_model=QuoteOut,
    responses=problems(401, 403, 404, 409, 422, 429, 503),
)
@router.post(
    "/auth/quote-request",
    summary="Ask for a quote (the same as `POST /quotes`)",
    operation_id="quotes_request_quote",
    status_code=status.HTTP_201_CREATED,
    response_model=QuoteOut,
    responses=problems(401, 403, 404, 409, 422, 429, 503),
)
async def create_quote(
    body: QuoteRequest,
    caller: OptionalUser,
    address: Address,
    door: Door,
    uow: Tx,
    once: OnceIfAsked,
    pricing: Pricing,
    driver_id: Annotated[str | None, optional_driver_for(Action.EDIT_POLICIES)],
) -> Response:
    """Price and keep a quote. The same facts and plan give the same price; it holds until `expires_at`.

    Anybody may ask, a limited number of times a minute. With `driver_id` it is a signed-in driver's own quote, made
    with the facts and the driving that are known.
    """
    await door.admit(address)

    async def work() -> QuoteOut:
        return await _out(uow, pricing, await pricing.quote(uow, body, driver_id=driver_id))

    owner = f"address:{address}" if caller is None else caller.user_id
    return await once.run(owner, work, status=status.HTTP_201_CREATED)


@router.get(
    "/quotes/{quote_id}", summary="A quote", response_model=QuoteOut, responses=problems(401, 403, 404, 422, 503)
)
async def get_quote(quote_id: QuoteId, caller: OptionalUser, uow: ReadTx, pricing: Pricing) -> QuoteOut:
    """Return a quote. A stranger's is for whoever has its id; a driver's for the driver and staff."""
    quote = await pricing.get_quote(uow, quote_id)
    if not may_see(quote, caller):
        raise QuoteNotFound
    return await _out(uow, pricing, quote)


async def _out(uow: UnitOfWork, pricing: PricingService, quote: Quote) -> QuoteOut:
    rating = await pricing.rating_of(uow, quote)
    return quote_out(quote, rating, await pricing.basis_of(uow, quote))
