"""Routes of a policy's money: invoices, payments, statements of miles, the ledger itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, status
from fastapi.responses import Response

from auto_insurance.identity.deps import PUBLIC
from auto_insurance.infra.http.deps import Tx, service
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.idempotency import Once
from auto_insurance.infra.http.pagination import Page, PageParams
from auto_insurance.policies.api.common import AccessiblePolicy, EditablePolicy, Editor
from auto_insurance.policies.billing_schemas import (
    BalanceOut,
    CallbackOut,
    EntryOut,
    InvoiceOut,
    PaymentIn,
    PaymentOut,
    PaymentsOut,
    StatementOut,
)
from auto_insurance.policies.invoices import Invoices
from auto_insurance.policies.ledger import Ledger
from auto_insurance.policies.payments_service import Payments
from auto_insurance.policies.statements import Statements

router = APIRouter(tags=["billing"])
Books = Annotated[Ledger, service(Ledger)]
Bills = Annotated[Invoices, service(Invoices)]
Desk = Annotated[Payments, service(Payments)]
Miles = Annotated[Statements, service(Statements)]
InvoiceNumber = Annotated[int, Path(ge=1, le=2**62, description="An invoice's number.")]
_READS = problems(401, 403, 404, 422, 503)
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing but the page itself may run or load."""
_CALLBACK = {
    "type": "object",
    "required": ["payment_id", "status"],
    "additionalProperties": False,
    "properties": {
        "payment_id": {"type": "string", "format": "uuid"},
        "status": {"enum": ["pending", "succeeded", "failed"]},
        "reason": {"type": "string"},
    },
}
"""The body is read as it came, since its bytes are signed."""


@router.get("/policies/{policy_id}/invoices", responses=_READS, summary="A policy's invoices")
async def list_invoices(policy: AccessiblePolicy, page: PageParams, bills: Bills, uow: Tx) -> Page[InvoiceOut]:
    """List invoices and credit notes, newest first."""
    found, total = await bills.listed(uow, policy.policy_id, limit=page.limit, offset=page.offset)
    return Page.of([InvoiceOut.of(one) for one in found], total, page)


@router.get(
    "/policies/{policy_id}/invoices/{number}/document",
    response_class=Response,
    responses={200: {"content": {"text/html": {}}}, **_READS},
    summary="An invoice to print",
)
async def get_invoice_document(policy: AccessiblePolicy, number: InvoiceNumber, bills: Bills, uow: Tx) -> Response:
    """Return the invoice as a page; once it is overdue, as the latest reminder or notice."""
    html = await bills.html(uow, policy.policy_id, number)
    headers = {"Content-Security-Policy": _PAGE_POLICY}
    return Response(html, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/policies/{policy_id}/ledger", responses=_READS, summary="A policy's ledger")
async def list_entries(policy: AccessiblePolicy, page: PageParams, books: Books, uow: Tx) -> Page[EntryOut]:
    """List the entries, the latest first: every amount that was ever booked, in double entry."""
    found, total = await books.entries(uow, policy.policy_id, limit=page.limit, offset=page.offset)
    return Page.of([EntryOut.of(one) for one in found], total, page)


@router.get("/policies/{policy_id}/balance", responses=_READS, summary="How a policy stands with its money")
async def get_balance(policy: AccessiblePolicy, books: Books, bills: Bills, uow: Tx) -> BalanceOut:
    """Return what is owed, due, earned and not earned yet, today."""
    balance = await books.balance(uow, policy.policy_id)
    return BalanceOut.of(policy.policy_id, balance, await bills.due(uow, policy.policy_id))


@router.get("/policies/{policy_id}/statements", responses=_READS, summary="Statements of miles")
async def list_statements(policy: AccessiblePolicy, page: PageParams, miles: Miles, uow: Tx) -> Page[StatementOut]:
    """List the monthly statements of a policy that charges miles, the latest first."""
    found, total = await miles.listed(uow, policy.policy_id, limit=page.limit, offset=page.offset)
    return Page.of([StatementOut.of(one) for one in found], total, page)


@router.get("/policies/{policy_id}/payments", responses=_READS, summary="A policy's payments")
async def list_payments(policy: AccessiblePolicy, desk: Desk, uow: Tx) -> PaymentsOut:
    """Return the latest payments and refunds, newest first."""
    return PaymentsOut(items=[PaymentOut.of(one) for one in await desk.recent(uow, policy.policy_id)])


@router.post(
    "/policies/{policy_id}/payments",
    status_code=status.HTTP_201_CREATED,
    response_model=PaymentOut,
    responses=problems(401, 403, 404, 409, 422, 503),
    summary="Pay",
)
async def pay(policy: EditablePolicy, body: PaymentIn, caller: Editor, once: Once, desk: Desk, uow: Tx) -> Response:
    """Pay what is invoiced, or an amount up to all that is owed. A refused payment is an answer, not an error.

    `Idempotency-Key` is demanded: the same key is the same payment, whatever happens on the way.
    """

    async def work() -> PaymentOut:
        key = f"{caller.user_id}:{once.key}"
        return PaymentOut.of(await desk.pay(uow, policy.policy_id, body.method, body.amount, key))

    return await once.run(caller.user_id, work, status=status.HTTP_201_CREATED)


@router.post(
    "/payments/callback",
    dependencies=[PUBLIC],
    responses=problems(401, 403, 404, 409, 422, 503),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _CALLBACK}}}},
    summary="What the payment provider tells",
)
async def payment_callback(
    request: Request,
    desk: Desk,
    uow: Tx,
    signature: Annotated[
        str,
        Header(alias="X-Payment-Signature", pattern=r"^[0-9a-fA-F]{64}$", description="HMAC-SHA256 of the body, hex."),
    ],
) -> CallbackOut:
    """Take how a pending payment ended: {payment_id, status: succeeded or failed, reason}. The same again is fine."""
    payment = await desk.called_back(uow, desk.provider.read_callback(await request.body(), signature))
    return CallbackOut(payment_id=payment.payment_id, status=payment.status)
