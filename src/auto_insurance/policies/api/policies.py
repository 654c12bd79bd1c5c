"""Routes of policies: bind, look, change, end, renew."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

from auto_insurance.identity.deps import drivers_for
from auto_insurance.identity.policy import Action
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.idempotency import OnceIfAsked
from auto_insurance.infra.http.pagination import Page, PageParams
from auto_insurance.policies.api.common import AccessiblePolicy, EditablePolicy, Editor, Policies, actor_of
from auto_insurance.policies.lifecycle import Status
from auto_insurance.policies.papers import Papers
from auto_insurance.policies.records import Policy
from auto_insurance.policies.schemas import ChangeOut, PolicyItem, PolicyOut, TransactionOut
from auto_insurance.policies.schemas_orders import BindIn, CancelIn, DeclineIn, EndorseIn, ReinstateIn, RenewIn
from auto_insurance.policies.service import BindOrder, CancelOrder, EndorseOrder, PolicyService

router = APIRouter(tags=["policies"])
Documents = Annotated[Papers, service(Papers)]
QuoteId = Annotated[str, Path(pattern=r"^QUO-[0-9a-f]{32}$", description="A quote's id.")]
DocumentName = Annotated[
    str,
    Path(pattern=r"^[a-z][a-z-]{0,39}$", description="As listed with the policy.", examples=["declarations"]),
]
Preview = Annotated[bool, Query(description="Only say what would happen; nothing is stored.")]
_CHANGES = problems(401, 403, 404, 409, 422, 503)


@router.post(
    "/quotes/{quote_id}/bind",
    summary="Make a policy of a quote",
    status_code=status.HTTP_201_CREATED,
    response_model=PolicyOut,
    responses=_CHANGES,
)
async def bind_quote(
    quote_id: QuoteId,
    body: BindIn,
    caller: Editor,
    uow: Tx,
    once: OnceIfAsked,
    policies: Policies,
    papers: Documents,
) -> Response:
    """Bind a quote at its price. A quote gives one policy: whoever binds it again is answered the same one.

    A driver binds own quotes, or one that was made for nobody known; staff bind for any driver.
    """
    order = BindOrder(
        months=body.months, driver_id=body.driver_id, vehicle_id=body.vehicle_id, instalments=body.instalments
    )

    async def work() -> PolicyOut:
        policy = await policies.bind(uow, quote_id, order, actor_of(caller), caller.driver_id)
        return await _out(uow, policies, papers, policy)

    return await once.run(caller.user_id, work, status=status.HTTP_201_CREATED)


@router.post(
    "/quotes/{quote_id}/bind/preview",
    summary="What binding a quote would do",
    response_model=ChangeOut,
    responses=_CHANGES,
)
async def preview_bind(quote_id: QuoteId, body: BindIn, caller: Editor, uow: ReadTx, policies: Policies) -> ChangeOut:
    """Return the term that a bind would make; nothing is stored."""
    order = BindOrder(
        months=body.months, driver_id=body.driver_id, vehicle_id=body.vehicle_id, instalments=body.instalments
    )
    change = await policies.preview_bind(uow, quote_id, order, actor_of(caller), caller.driver_id)
    return ChangeOut.of(change, preview=True)


@router.get("/policies", summary="Policies", responses=problems(401, 403, 404, 422, 503))
async def list_policies(
    driver_id: Annotated[str | None, drivers_for(Action.READ_POLICIES)],
    uow: ReadTx,
    policies: Policies,
    page: PageParams,
    state: Annotated[Status | None, Query(alias="status", description="Only those that stand there.")] = None,
) -> Page[PolicyItem]:
    """List the policies that the caller may see, the newest first: a driver's own, for staff all."""
    found, total = await policies.list(
        uow, driver_id=driver_id, status=None if state is None else state.value, limit=page.limit, offset=page.offset
    )
    return Page.of([PolicyItem.of(one.policy, one.row) for one in found], total, page)


@router.get("/policies/{policy_id}", summary="A policy", responses=problems(401, 403, 404, 422, 503))
async def get_policy(policy: AccessiblePolicy, uow: Tx, policies: Policies, papers: Documents) -> PolicyOut:
    """Return a policy with its terms, their parts and what each costs."""
    return await _out(uow, policies, papers, policy)


@router.get(
    "/policies/{policy_id}/transactions",
    summary="What happened to a policy",
    responses=problems(401, 403, 404, 422, 503),
)
async def list_transactions(
    policy: AccessiblePolicy, uow: Tx, policies: Policies, page: PageParams
) -> Page[TransactionOut]:
    """List who did what when, effective when, for how much and why, the newest first."""
    found, total = await policies.transactions(uow, policy.policy_id, limit=page.limit, offset=page.offset)
    return Page.of([TransactionOut.of(one) for one in found], total, page)


@router.post("/policies/{policy_id}/endorse", summary="Change a policy", response_model=ChangeOut, responses=_CHANGES)
async def endorse(
    policy: EditablePolicy,
    body: EndorseIn,
    caller: Editor,
    uow: Tx,
    once: OnceIfAsked,
    policies: Policies,
    preview: Preview = False,
) -> Response:
    """Change vehicle, address, cover or facts from a day of a term on.

    The day may lie before that of an earlier change: later ones are applied again on top, and the difference is booked
    once. Drivers change from today on; staff any day of a term.
    """
    order = EndorseOrder(
        effective_on=body.effective_on,
        changes=body.changes.given(),
        reason=body.reason,
        newest_score=body.newest_score,
        revision=body.revision,
    )

    async def work() -> ChangeOut:
        change = await policies.endorse(uow, policy.policy_id, order, actor_of(caller), preview=preview)
        return ChangeOut.of(change, preview=preview)

    return await once.run(caller.user_id, work)


@router.post("/policies/{policy_id}/cancel", summary="End a policy", response_model=ChangeOut, responses=_CHANGES)
async def cancel(
    policy: EditablePolicy,
    body: CancelIn,
    caller: Editor,
    uow: Tx,
    once: OnceIfAsked,
    policies: Policies,
    preview: Preview = False,
) -> Response:
    """End a policy early: pro rata, short rate or flat. The insurer keeps its notice period."""
    order = CancelOrder(
        reason=body.reason,
        initiator=body.initiator,
        effective_on=body.effective_on,
        method=body.method,
        revision=body.revision,
    )

    async def work() -> ChangeOut:
        change = await policies.cancel(uow, policy.policy_id, order, actor_of(caller), preview=preview)
        return ChangeOut.of(change, preview=preview)

    return await once.run(caller.user_id, work)


@router.post(
    "/policies/{policy_id}/reinstate", summary="Reinstate a policy", response_model=ChangeOut, responses=_CHANGES
)
async def reinstate(
    policy: EditablePolicy,
    body: ReinstateIn,
    caller: Editor,
    uow: Tx,
    once: OnceIfAsked,
    policies: Policies,
    preview: Preview = False,
) -> Response:
    """Bring a cancelled or lapsed policy back as if cover had never stopped, or refuse. Staff only."""

    async def work() -> ChangeOut:
        change = await policies.reinstate(
            uow,
            policy.policy_id,
            actor_of(caller),
            body.reason,
            no_losses=body.no_losses,
            revision=body.revision,
            preview=preview,
        )
        return ChangeOut.of(change, preview=preview)

    return await once.run(caller.user_id, work)


@router.post("/policies/{policy_id}/renew", summary="Take the next term", response_model=ChangeOut, responses=_CHANGES)
async def renew(
    policy: EditablePolicy,
    body: RenewIn,
    caller: Editor,
    uow: Tx,
    once: OnceIfAsked,
    policies: Policies,
    preview: Preview = False,
) -> Response:
    """Bind the next term at the offered price; without an offer one is made now."""

    async def work() -> ChangeOut:
        change = await policies.renew(
            uow, policy.policy_id, actor_of(caller), months=body.months, revision=body.revision, preview=preview
        )
        return ChangeOut.of(change, preview=preview)

    return await once.run(caller.user_id, work)


@router.post(
    "/policies/{policy_id}/decline-renewal",
    summary="Decline the next term",
    response_model=ChangeOut,
    responses=_CHANGES,
)
async def decline_renewal(
    policy: EditablePolicy, body: DeclineIn, caller: Editor, uow: Tx, once: OnceIfAsked, policies: Policies
) -> Response:
    """Let the policy end with the running term: the offer is withdrawn, a next term that is bound cancelled."""

    async def work() -> ChangeOut:
        change = await policies.decline(uow, policy.policy_id, actor_of(caller), body.reason)
        return ChangeOut.of(change, preview=False)

    return await once.run(caller.user_id, work)


@router.get(
    "/policies/{policy_id}/documents/{name}",
    summary="A printable document",
    response_class=Response,
    responses={200: {"content": {"text/html": {}}}, **problems(401, 403, 404, 422, 503)},
)
async def document(policy: AccessiblePolicy, name: DocumentName, uow: Tx, papers: Documents) -> Response:
    """Return a notice as HTML that prints well: declarations, cancellation, renewal-offer, adverse-action."""
    html = await papers.html(uow, policy, name)
    # Nothing but the page itself may run or load, whatever somebody got into a name.
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(html, media_type="text/html; charset=utf-8", headers=headers)


async def _out(uow: UnitOfWork, policies: PolicyService, papers: Papers, policy: Policy) -> PolicyOut:
    terms = await policies.terms(uow, policy)
    return PolicyOut.build(policy, terms, papers.names(policy, terms))
