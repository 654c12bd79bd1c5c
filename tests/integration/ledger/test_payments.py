from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from auto_insurance.kernel import ids
from auto_insurance.kernel.errors import Unavailable
from auto_insurance.policies import payments as tokens
from auto_insurance.policies import repository_ledger
from auto_insurance.policies.ledger import InstalmentPlan
from auto_insurance.policies.ledger_errors import InvalidSignature, NothingDue, PaymentNotFound, PaymentSettled
from auto_insurance.policies.payments import Callback, LocalProvider, Outcome, PaymentStatus
from auto_insurance.policies.payments_service import Payments, refund_all
from auto_insurance.policies.postings import Account
from auto_insurance.policies.repository_payments import Payment
from tests.support.ledger import START, Books, Policy

CARD = "tok_visa"


class Desk:
    """Pays for one policy."""

    def __init__(self, books: Books, provider: LocalProvider | None = None) -> None:
        self.books = books
        self.provider = provider or LocalProvider("secret")
        self.payments = Payments(books.ledger, books.invoices, self.provider)

    async def pay(self, amount: str | None = None, method: str = CARD, key: str = "k1") -> Payment:
        async with self.books.db.begin() as uow:
            return await self.payments.pay(uow, "POL-1", method, None if amount is None else Decimal(amount), key)

    async def call_back(self, payment_id: UUID, status: PaymentStatus, reason: str = "") -> Payment:
        async with self.books.db.begin() as uow:
            return await self.payments.called_back(uow, Callback(payment_id, status, reason))

    async def all(self) -> list[Payment]:
        async with self.books.db.read() as uow:
            return await self.payments.recent(uow, "POL-1")


@pytest.fixture
def desk(books: Books) -> Desk:
    return Desk(books)


async def test_paying_what_is_invoiced(desk: Desk) -> None:
    await desk.books.book(Policy().bind())
    paid = await desk.pay()
    assert (paid.amount, paid.status, paid.provider) == (Decimal("100.00"), "succeeded", "local")
    balance = await desk.books.balance()
    assert (balance.owed, balance.accounts[Account.CASH]) == (Decimal(1100), Decimal(100))
    with pytest.raises(NothingDue):
        await desk.pay(key="k2")


async def test_paying_ahead_up_to_what_is_owed(desk: Desk) -> None:
    await desk.books.book(Policy().bind())
    with pytest.raises(NothingDue, match=r"1200\.00"):
        await desk.pay("1200.01")
    await desk.pay("1200.00")
    assert (await desk.books.balance()).owed == 0


async def test_the_same_key_is_the_same_payment(desk: Desk) -> None:
    await desk.books.book(Policy().bind())
    first, again = await asyncio.gather(desk.pay(), desk.pay())
    assert first == again
    assert len(await desk.all()) == 1


@pytest.mark.parametrize(
    ("token", "reason"), [(tokens.DECLINED, "declined"), (tokens.INSUFFICIENT, "insufficient_funds")]
)
async def test_a_refused_payment_moves_nothing(desk: Desk, token: str, reason: str) -> None:
    await desk.books.book(Policy().bind())
    refused = await desk.pay(method=token)
    assert (refused.status, refused.reason) == ("failed", reason)
    assert (await desk.books.balance()).owed == 1200


@pytest.mark.parametrize(("end", "owed"), [(PaymentStatus.SUCCEEDED, 1100), (PaymentStatus.FAILED, 1200)])
async def test_a_callback_ends_a_pending_payment_once(desk: Desk, end: PaymentStatus, owed: int) -> None:
    await desk.books.book(Policy().bind())
    pending = await desk.pay(method=tokens.PENDING)
    assert (await desk.books.balance()).owed == 1200
    for _ in range(2):
        assert (await desk.call_back(pending.payment_id, end)).status == end
    assert (await desk.books.balance()).owed == owed
    other = PaymentStatus.FAILED if end is PaymentStatus.SUCCEEDED else PaymentStatus.SUCCEEDED
    with pytest.raises(PaymentSettled):
        await desk.call_back(pending.payment_id, other)
    with pytest.raises(PaymentNotFound):
        await desk.call_back(ids.new_uuid(), end)


def test_callbacks_are_signed() -> None:
    provider = LocalProvider("secret")
    body = msgspec.json.encode(Callback(ids.new_uuid(), PaymentStatus.SUCCEEDED))
    assert provider.read_callback(body, provider.sign(body)).status is PaymentStatus.SUCCEEDED
    for wrong_body, signature in ((body, LocalProvider("other").sign(body)), (body + b" ", provider.sign(body))):
        with pytest.raises(InvalidSignature):
            provider.read_callback(wrong_body, signature)
    with pytest.raises(InvalidSignature, match="form"):
        provider.read_callback(b"{}", provider.sign(b"{}"))


async def cancelled(desk: Desk, paid: str = "1200.00") -> None:
    """A policy of 1200.00 that is paid at once and ends after 73 days: 240.00 are used."""
    policy = Policy()
    await desk.books.book(policy.bind(plan=InstalmentPlan.ANNUAL))
    await desk.pay(paid)
    await desk.books.book(policy.change(date(2026, 3, 15), (START, date(2026, 3, 15), "1200.00"), kind="cancelled"))


async def test_what_is_not_used_goes_back_once(desk: Desk) -> None:
    await cancelled(desk)
    assert await refund_all(desk.books.db, desk.payments, date(2026, 3, 14)) == 0, "cover has not ended"
    assert await refund_all(desk.books.db, desk.payments, date(2026, 3, 15)) == 1
    assert await refund_all(desk.books.db, desk.payments, date(2026, 3, 16)) == 0
    refund = (await desk.all())[0]
    assert (refund.kind, refund.amount, refund.status, refund.method) == (
        "refund",
        Decimal("960.00"),
        "succeeded",
        CARD,
    )
    balance = await desk.books.balance()
    assert (balance.owed, balance.accounts[Account.CASH]) == (Decimal(0), Decimal(240))


async def test_credits_do_not_become_money(desk: Desk) -> None:
    policy = Policy()
    await desk.books.book(policy.bind(plan=InstalmentPlan.ANNUAL))
    async with desk.books.db.begin() as uow:
        await desk.books.ledger.credit(uow, "POL-1", Decimal("500.00"), reason="x", reference="x")
    await desk.pay("700.00")
    await desk.books.book(policy.change(START, (START, START, "0"), kind="cancelled"))
    assert await refund_all(desk.books.db, desk.payments, START) == 1
    assert (await desk.all())[0].amount == Decimal("700.00")
    assert await refund_all(desk.books.db, desk.payments, START) == 0


async def test_a_running_policy_keeps_what_is_too_much(desk: Desk) -> None:
    policy = Policy()
    await desk.books.book(policy.bind(plan=InstalmentPlan.ANNUAL))
    await desk.pay("1200.00")
    await desk.books.book(policy.change(START, (START, policy.term.ends_on, "1100.00")))
    assert await refund_all(desk.books.db, desk.payments, date(2026, 6, 1)) == 0
    assert await refund_all(desk.books.db, desk.payments, date(2027, 1, 1)) == 0, "a renewal may still use it"
    assert await refund_all(desk.books.db, desk.payments, date(2027, 1, 2)) == 1
    assert (await desk.all())[0].amount == Decimal("100.00")


async def test_money_that_is_needed_meanwhile_does_not_go_back(desk: Desk) -> None:
    await cancelled(desk)
    async with desk.books.db.begin() as uow:
        assert await desk.payments.start_refunds(uow, date(2026, 3, 15)) is None
        row = await repository_ledger.get_term(uow, "POL-1", 1)
        assert row is not None
        await desk.books.invoices.issue(uow, row, "usage", Decimal("960.00"), (), START, START)
        assert await desk.payments.make_refund(uow)
        assert not await desk.payments.make_refund(uow)
    assert (await desk.all())[0].reason == "nothing_left"


class Away(LocalProvider):
    """A provider that can't be reached, or that decides refunds later."""

    later = False

    async def refund(self, payment_id: UUID, method: str, amount: Decimal, currency: str) -> Outcome:
        if self.later:
            return Outcome(PaymentStatus.PENDING, "re_1")
        raise Unavailable("away")


async def test_refunds_wait_for_the_provider(books: Books) -> None:
    desk = Desk(books, Away("secret"))
    await cancelled(desk)
    assert await refund_all(books.db, desk.payments, date(2026, 3, 15)) == 0
    assert (await desk.all())[0].status == "pending"
    assert isinstance(desk.provider, Away)
    desk.provider.later = True
    assert await refund_all(books.db, desk.payments, date(2026, 3, 15)) == 1
    refund = (await desk.all())[0]
    assert (refund.status, refund.provider_reference) == ("pending", "re_1")
    assert (await books.balance()).owed == -960
    await desk.call_back(refund.payment_id, PaymentStatus.SUCCEEDED)
    assert (await books.balance()).owed == 0
