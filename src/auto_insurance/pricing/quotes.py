"""Quotes: prices that are stored, hold for some weeks and can be bound once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec

from auto_insurance.drivers.schemas import Coverage, DriverFacts
from auto_insurance.identity import policy
from auto_insurance.identity.policy import Action
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.infra.http.ratelimit import RateLimiter
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import FieldError
from auto_insurance.pricing import repository, repository_quotes
from auto_insurance.pricing.errors import InvalidQuote, QuoteBound, QuoteExpired, QuoteNotFound, TooManyQuotes
from auto_insurance.pricing.facts import RiskChanges, rating_inputs
from auto_insurance.pricing.rating import RatingInputs, Telematics, rate
from auto_insurance.pricing.schemas_quotes import Quote, QuoteRequest, QuoteStatus
from auto_insurance.pricing.service_rater import NO_DRIVING, Case, Rater, of_score

START_WITHIN = timedelta(days=365)
FARTHEST_WEST = timedelta(hours=12)
"""No place is further behind UTC."""
WINDOW_S = 60.0
FORGOTTEN_AFTER = timedelta(days=30)
"""How long an expired quote is kept: the facts in it are somebody's."""


@dataclass(frozen=True, slots=True)
class QuoteOptions:
    """``days``: how long a quote holds."""

    days: int = 30


class QuoteDesk:
    """Makes, finds and takes quotes."""

    def __init__(self, rater: Rater, options: QuoteOptions) -> None:
        self._rater = rater
        self._options = options

    async def quote(self, uow: UnitOfWork, request: QuoteRequest, *, driver_id: str | None = None) -> Quote:
        """Price and store a quote. Raises what :meth:`price` raises."""
        quote = await self.price(uow, request, driver_id=driver_id)
        await repository_quotes.add_quote(uow, quote)
        uow.note("quote", quote.quote_id)
        return quote

    async def price(self, uow: UnitOfWork, request: QuoteRequest, *, driver_id: str | None = None) -> Quote:
        """Return a quote that is not stored yet. Raises ``InvalidQuote``, and kind not_found for an unknown driver."""
        now = clock.now()
        # Cover begins at midnight where the driver is, which may still be yesterday's date in UTC.
        zone = None if driver_id is None else await self._rater.time_zone(uow, driver_id)
        start = _start(request, now, zone)
        case = await self._case(uow, request, start, driver_id)
        rating = rate(case.plan, case.inputs)
        return Quote(
            quote_id=f"QUO-{secrets.token_hex(16)}",
            status=QuoteStatus.OPEN.value,
            driver_id=driver_id,
            request=request.model_dump(mode="json", exclude_none=True),
            inputs=case.inputs,
            worksheet=rating.worksheet,
            annual_premium=rating.annual_premium,
            monthly_premium=rating.monthly_premium,
            currency=rating.currency,
            plan_version=rating.plan_version,
            score_id=case.basis.score_id,
            created_at=now,
            expires_at=now + timedelta(days=self._options.days),
        )

    async def get(self, uow: UnitOfWork, quote_id: str) -> Quote:
        """Return a quote as it stands now. Raises ``QuoteNotFound``."""
        found = await repository_quotes.get_quote(uow, quote_id)
        if found is None:
            raise QuoteNotFound
        return _as_of(found, clock.now())

    async def take(self, uow: UnitOfWork, quote_id: str) -> Quote:
        """Make an open quote a bound one and return it; others who want it wait for this transaction.

        Raises ``QuoteNotFound``, ``QuoteBound`` and ``QuoteExpired``.
        """
        found, now = await repository_quotes.get_quote(uow, quote_id, lock=True), clock.now()
        if found is None:
            raise QuoteNotFound
        if found.status == QuoteStatus.BOUND:
            raise QuoteBound
        if now >= found.expires_at:
            raise QuoteExpired
        await repository_quotes.mark_bound(uow, quote_id, now)
        return msgspec.structs.replace(found, status=QuoteStatus.BOUND.value, bound_at=now)

    async def bound(self, uow: UnitOfWork, quote_id: str, *, policy_id: str, driver_id: str) -> Quote:
        """Note the policy that came of a quote."""
        await repository_quotes.set_policy(uow, quote_id, policy_id, driver_id)
        return await self.get(uow, quote_id)

    async def case(self, uow: UnitOfWork, quote: Quote) -> Case:
        """Return what a quote's price was made of."""
        plan = await self._rater.plans.get(uow, quote.plan_version)
        score = await self._rater.score(uow, quote.score_id)
        if score is None:
            return Case(plan, quote.inputs, msgspec.structs.replace(NO_DRIVING, telematics=quote.inputs.telematics))
        return Case(plan, quote.inputs, of_score(score, quote.inputs.telematics.running_relativity))

    async def forget_expired(self, uow: UnitOfWork) -> int:
        """Delete quotes that expired a month ago; returns how many."""
        return await repository_quotes.forget_expired(uow, clock.now() - FORGOTTEN_AFTER)

    async def _case(self, uow: UnitOfWork, request: QuoteRequest, start: date, driver_id: str | None) -> Case:
        changes = changes_in(request)
        if driver_id is None:
            plan = await self._rater.plans.active(uow, start)
            inputs = rating_inputs(_stranger(request), start, Telematics(), changes)
            return Case(plan, with_ages(request, inputs), NO_DRIVING)
        running = await repository.charged_on(uow, driver_id, start)
        case = await self._rater.case(uow, driver_id, start, running, "bind", changes)
        return case._replace(inputs=with_ages(request, case.inputs))


class QuoteDoor:
    """Lets an address ask for so many quotes a minute: the route is open to everybody and each quote is stored."""

    def __init__(self, limiter: RateLimiter, per_minute: int) -> None:
        self._limiter = limiter
        self._per_minute = per_minute

    async def admit(self, address: str) -> None:
        """Count a request. Raises ``TooManyQuotes``."""
        decision = await self._limiter.hit(f"quote:{address}", self._per_minute, WINDOW_S)
        if not decision.allowed:
            raise TooManyQuotes(
                f"At most {self._per_minute} quotes a minute.", retry_after_s=decision.retry_after_s
            )  # fmt: skip


def may_see(quote: Quote, principal: Principal | None) -> bool:
    """Tell whether somebody who has the id may see the quote: a stranger's anybody, a driver's the driver and staff."""
    if quote.driver_id is None:
        return True
    return principal is not None and policy.allows(principal, Action.READ_PRICING, quote.driver_id)


def _as_of(quote: Quote, now: datetime) -> Quote:
    if quote.status == QuoteStatus.OPEN and now >= quote.expires_at:
        return msgspec.structs.replace(quote, status=QuoteStatus.EXPIRED.value)
    return quote


def _start(request: QuoteRequest, now: datetime, time_zone: str | None) -> date:
    """Return the first day of cover. Where a stranger is nobody knows: any date that is today somewhere will do."""
    today = clock.local_date(now, time_zone or "UTC")
    earliest = today if time_zone is not None else (now - FARTHEST_WEST).date()
    start = request.start_date or today
    if not earliest <= start <= today + START_WITHIN:
        raise _invalid("start_date", "out_of_range", "Cover starts today or within a year.")
    for name in ("date_of_birth", "licence_date"):
        given = getattr(request, name)
        if given is not None and given > today:
            raise _invalid(name, "in_future", "This date lies ahead.")
    return start


def _stranger(request: QuoteRequest) -> DriverFacts:
    """Return what is known of somebody who is no driver of ours: the request alone."""
    if request.state is None:
        raise _invalid("state", "missing", "Tell the state: rates differ by it.")
    return DriverFacts(
        driver_id="",
        full_name=None,
        date_of_birth=None,
        licence_date=None,
        time_zone="UTC",
        state=request.state,
        postcode=None,
        declared_annual_mileage=None,
        prior_claims=0,
        coverage=(request.coverage or Coverage.STANDARD).value,
        vehicle=None,
        enrolled_at=clock.EPOCH,
    )


def changes_in(request: QuoteRequest) -> RiskChanges:
    """Return what a request says of the risk; ages without a date are left out."""
    return RiskChanges(
        state=request.state,
        coverage=None if request.coverage is None else request.coverage.value,
        date_of_birth=request.date_of_birth,
        licence_date=request.licence_date,
        vehicle_year=request.vehicle_year,
        vehicle_use=None if request.vehicle_use is None else request.vehicle_use.value,
        annual_mileage=request.annual_mileage,
        prior_claims=request.prior_claims,
        postcode=request.postcode,
        participating=request.telematics,
        product=request.product,
        choices=request.choices,
    )


def changes_quoted(quote: Quote) -> RiskChanges:
    """Return what a stored quote says of the risk."""
    return changes_in(QuoteRequest.model_validate(quote.request))


def with_ages(request: QuoteRequest, inputs: RatingInputs) -> RatingInputs:
    """Return the inputs with the ages that a request gives without a date."""
    ages = {"driver_age": request.driver_age, "licence_years": request.licence_years}
    return msgspec.structs.replace(inputs, **{name: value for name, value in ages.items() if value is not None})


def _invalid(field: str, code: str, message: str) -> InvalidQuote:
    return InvalidQuote(f"{field}: {message}", errors=[FieldError(field, code, message)])
