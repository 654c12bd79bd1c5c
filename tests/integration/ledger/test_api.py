from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from auto_insurance.identity.deps import current_user
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.infra.health import HealthRegistry
from auto_insurance.infra.http.app import AppOptions, AppState, attach_state, create_app
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.policies.api import billing
from auto_insurance.policies.billing_parts import Money, MoneyOptions
from auto_insurance.policies.errors import PolicyNotFound
from auto_insurance.policies.payments import LocalProvider
from auto_insurance.policies.records import Policy as PolicyRow
from auto_insurance.policies.service import PolicyService
from tests.integration.ledger.test_statements import RATE, Trips
from tests.support.ledger import Books, Policy

SECRET = "of the provider"
ID = "POL-000001"


class Policies:
    """Knows one policy of DRV001."""

    async def get(self, uow: UnitOfWork, policy_id: str) -> PolicyRow:
        if policy_id != ID:
            raise PolicyNotFound
        now = datetime(2026, 1, 1, tzinfo=UTC)
        fields: dict[str, Any] = {
            "policy_id": ID, "driver_id": "DRV001", "quote_id": None, "product": "per_mile", "currency": "USD",
            "state": "CA", "time_zone": "UTC", "anchor_day": 1, "status": "active", "term": 1, "revision": 1,
            "created_at": now, "changed_at": now,
        }  # fmt: skip
        return PolicyRow(**{name: fields[name] for name in PolicyRow.__struct_fields__})


class Site:
    """The routes over a ledger, asked by somebody."""

    def __init__(self, books: Books, client: httpx.AsyncClient, trips: Trips, money: Money) -> None:
        self.books, self.client, self.trips, self.money = books, client, trips, money
        self.driver: str | None = "DRV001"
        self.user = uuid4()

    def principal(self) -> Principal:
        roles = frozenset({"driver"}) if self.driver else frozenset({"admin"})
        return Principal(user_id=self.user, username="u", roles=roles, driver_id=self.driver)

    async def get(self, path: str, status: int = 200) -> Any:
        answer = await self.client.get(f"/policies/{ID}/{path}")
        assert answer.status_code == status, answer.text
        return answer.json()

    async def pay(self, key: str | None = "k1", **body: object) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.client.post(f"/policies/{ID}/payments", json=body, headers=headers)

    async def call_back(self, payment_id: str, status: str, secret: str = SECRET) -> httpx.Response:
        body = msgspec.json.encode({"payment_id": payment_id, "status": status})
        headers = {"X-Payment-Signature": LocalProvider(secret).sign(body)}
        return await self.client.post("/payments/callback", content=body, headers=headers)


@pytest.fixture
async def site(books: Books) -> AsyncIterator[Site]:
    trips = Trips()
    money = Money(trips, MoneyOptions(callback_secret=SECRET))
    app = create_app(AppOptions(), [billing.router])
    services = {type(one): one for one in money.services} | {PolicyService: Policies()}
    attach_state(app, AppState(books.db, services, HealthRegistry()))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
        made = Site(books, client, trips, money)
        app.dependency_overrides[current_user] = made.principal
        await books.book(Policy(ID).bind("1200.00", per_mile=(RATE,)))
        yield made


async def test_invoices_and_their_documents(site: Site) -> None:
    page = await site.get("invoices")
    assert page["total"] == 1
    [invoice] = page["items"]
    assert (invoice["name"], invoice["amount"], invoice["open_amount"]) == ("INV-000001", 100.0, 100.0)
    assert invoice["lines"] == [{"text": "instalment 1 of 12", "amount": 100.0}]
    answer = await site.client.get(f"/policies/{ID}/invoices/1/document")
    assert answer.headers["content-type"].startswith("text/html")
    assert "Please pay USD 100.00 by January 15, 2026." in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (await site.client.get(f"/policies/{ID}/invoices/7/document")).json()["code"] == "invoice_not_found"


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        ("reminded", "It was due on January 15, 2026."),
        ("final_notice", "your cover stops on February 14, 2026"),
        ("lapsed", "Your cover has stopped"),
    ],
)
async def test_letters_of_an_unpaid_invoice(site: Site, stage: str, text: str) -> None:
    await site.books.execute(f"UPDATE invoices SET stage = '{stage}', stage_since = '2026-01-29'")
    answer = await site.client.get(f"/policies/{ID}/invoices/1/document")
    assert text in answer.text
    await site.pay(method="tok_visa")
    assert "this invoice is paid" in (await site.client.get(f"/policies/{ID}/invoices/1/document")).text


async def test_a_credit_note_asks_for_nothing(site: Site) -> None:
    policy = Policy(ID)
    policy.bind("1200.00")
    await site.books.book(policy.change(date(2026, 1, 1), (date(2026, 1, 1), date(2026, 1, 1), "0"), kind="cancelled"))
    answer = await site.client.get(f"/policies/{ID}/invoices/2/document")
    assert "Credit note INV-000002" in answer.text


async def test_the_ledger_and_the_balance(site: Site) -> None:
    [entry] = (await site.get("ledger"))["items"]
    assert entry["kind"] == "booking"
    assert entry["postings"] == [
        {"account": "premium_receivable", "side": "debit", "amount": 1200.0},
        {"account": "unearned_premium", "side": "credit", "amount": 1200.0},
    ]
    balance = await site.get("balance")
    assert (balance["owed"], balance["due"], balance["unearned_premium"]) == (1200.0, 100.0, 1200.0)


async def test_statements(site: Site, frozen: FrozenClock) -> None:
    site.trips.drive(date(2026, 1, 3), 400.0)
    frozen.set(datetime(2026, 2, 6, tzinfo=UTC))
    async with site.books.db.begin() as uow:
        await site.money.statements.make(uow, ID, "DRV001", date(2026, 1, 1))
    [statement] = (await site.get("statements"))["items"]
    assert statement["amount"] == 15.0
    assert statement["days"] == [
        {"on": "2026-01-03", "miles": 400.0, "charged_miles": 250.0, "rate_per_mile": "0.060000", "amount": 15.0}
    ]


async def test_paying_twice_with_a_key_is_paying_once(site: Site) -> None:
    first, again = await site.pay(method="tok_visa"), await site.pay(method="tok_visa")
    assert (first.status_code, first.json()["amount"], first.json()["status"]) == (201, 100.0, "succeeded")
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert "method" not in first.json()
    assert len((await site.get("payments"))["items"]) == 1
    assert (await site.pay(method="tok_other")).json()["code"] == "idempotency_key_reused"
    assert (await site.pay("k2", method="tok_visa")).json()["code"] == "nothing_due"


@pytest.mark.parametrize("body", [{"method": "4111 1111 1111 1111"}, {"method": "tok_visa", "amount": 1.005}, {}])
async def test_wrong_payments_are_named(site: Site, body: dict[str, Any]) -> None:
    answer = await site.pay(**body)
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_a_key_is_demanded(site: Site) -> None:
    answer = await site.pay(None, method="tok_visa")
    assert answer.json()["errors"][0]["field"] == "header.Idempotency-Key"


async def test_the_provider_calls_back(site: Site) -> None:
    pending = (await site.pay(method="tok_pending")).json()
    assert pending["status"] == "pending"
    assert (await site.call_back(pending["payment_id"], "succeeded", "wrong")).json()["code"] == "invalid_signature"
    for _ in range(2):
        answer = await site.call_back(pending["payment_id"], "succeeded")
        assert answer.json() == {"payment_id": pending["payment_id"], "status": "succeeded"}
    assert (await site.get("balance"))["due"] == 0
    assert (await site.call_back(pending["payment_id"], "failed")).json()["code"] == "payment_settled"
    assert (await site.call_back(str(uuid4()), "failed")).json()["code"] == "payment_not_found"


@pytest.mark.parametrize("path", ["invoices", "invoices/1/document", "ledger", "balance", "statements", "payments"])
async def test_others_and_unknown_policies_are_not_found_alike(site: Site, path: str) -> None:
    site.driver = "DRV002"
    foreign = await site.client.get(f"/policies/{ID}/{path}")
    unknown = await site.client.get(f"/policies/POL-000009/{path}")
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert {**foreign.json(), "request_id": None} == {**unknown.json(), "request_id": None}
    site.driver = None
    assert (await site.client.get(f"/policies/{ID}/{path}")).status_code == 200


async def test_nobody_pays_for_others_unseen(site: Site) -> None:
    site.driver = "DRV002"
    assert (await site.pay(method="tok_visa")).status_code == 404
