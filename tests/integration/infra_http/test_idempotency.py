from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Header
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from auto_insurance.infra.db import idempotency as store
from auto_insurance.infra.db.uow import Database
from auto_insurance.infra.health import HealthRegistry
from auto_insurance.infra.http.app import AppOptions, AppState, attach_state, create_app
from auto_insurance.infra.http.deps import Tx
from auto_insurance.infra.http.idempotency import Once, OnceIfAsked
from auto_insurance.kernel import clock
from auto_insurance.kernel.clock import FrozenClock, use_clock
from auto_insurance.kernel.errors import InvalidInput

router = APIRouter()
Owner = Annotated[str, Header(alias="X-Owner")]


class Order(BaseModel):
    amount: int
    note: str = ""
    wait_s: float = 0.0


class Receipt(BaseModel):
    number: int
    amount: int


async def _pay(tx: Tx, order: Order) -> Receipt:
    row = await tx.conn.execute(
        text("INSERT INTO paid (amount) VALUES (:amount) RETURNING number"), {"amount": order.amount}
    )
    await asyncio.sleep(order.wait_s)
    if order.amount < 0:
        raise InvalidInput("No.")
    return Receipt(number=row.scalar_one(), amount=order.amount)


@router.post("/pay", response_model=Receipt, status_code=201)
async def pay(order: Order, owner: Owner, tx: Tx, once: Once) -> Response:
    return await once.run(owner, lambda: _pay(tx, order), status=201)


@router.post("/pay-freely", response_model=Receipt)
async def pay_freely(order: Order, owner: Owner, tx: Tx, once: OnceIfAsked) -> Response:
    return await once.run(owner, lambda: _pay(tx, order))


class Shop:
    def __init__(self, db: Database, client: httpx.AsyncClient) -> None:
        self.db = db
        self.client = client

    async def pay(
        self, key: str | None, owner: str = "ada", route: str = "pay", query: str = "", **order: object
    ) -> httpx.Response:
        headers = {"X-Owner": owner} | ({} if key is None else {"Idempotency-Key": key})
        return await self.client.post(f"/{route}{query}", json=order, headers=headers)

    async def paid(self) -> int:
        async with self.db.read() as uow:
            return int((await uow.conn.execute(text("SELECT count(*) FROM paid"))).scalar_one())


@pytest.fixture
async def shop(db: Database) -> AsyncIterator[Shop]:
    async with db.begin() as uow:
        await uow.conn.execute(text("CREATE TABLE paid (number int GENERATED ALWAYS AS IDENTITY, amount int)"))
    app = create_app(AppOptions(), [router])
    attach_state(app, AppState(db, {}, HealthRegistry()))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
        yield Shop(db, client)


async def test_the_second_sending_gets_the_stored_answer(shop: Shop) -> None:
    first = await shop.pay("k1", amount=5)
    again = await shop.pay("k1", amount=5)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert first.json() == {"number": 1, "amount": 5}
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await shop.paid() == 1


async def test_the_order_of_keys_and_white_space_say_nothing(shop: Shop) -> None:
    headers = {"X-Owner": "ada", "Idempotency-Key": "k1", "Content-Type": "application/json"}
    first = await shop.client.post("/pay", content=b'{"amount": 1, "note": "x"}', headers=headers)
    again = await shop.client.post("/pay", content=b'{"note":"x","amount":1}', headers=headers)
    assert again.content == first.content
    assert await shop.paid() == 1


@pytest.mark.parametrize("other", [{"amount": 6}, {"amount": 5, "query": "?x=1"}, {"amount": 5, "route": "pay-freely"}])
async def test_another_request_with_the_key_is_refused(shop: Shop, other: dict[str, str]) -> None:
    await shop.pay("k1", amount=5)
    refused = await shop.pay("k1", **other)
    assert refused.status_code == 422
    assert refused.json()["code"] == "idempotency_key_reused"
    assert refused.json()["errors"][0]["field"] == "header.Idempotency-Key"
    assert await shop.paid() == 1


async def test_keys_of_different_people_do_not_meet(shop: Shop) -> None:
    assert (await shop.pay("k1", "ada", amount=5)).json()["number"] == 1
    assert (await shop.pay("k1", "bob", amount=6)).json()["number"] == 2


async def test_a_failure_is_not_kept(shop: Shop) -> None:
    assert (await shop.pay("k1", amount=-1)).status_code == 422
    assert await shop.paid() == 0
    assert (await shop.pay("k1", amount=4)).status_code == 201


async def test_concurrent_sendings_have_one_effect(shop: Shop) -> None:
    answers = await asyncio.gather(*(shop.pay("k1", amount=7) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await shop.paid() == 1


async def test_whoever_waits_too_long_is_told_to_come_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "WAIT_MS", 50)
    slow = asyncio.create_task(shop.pay("k1", amount=7, wait_s=0.5))
    await asyncio.sleep(0.2)
    early = await shop.pay("k1", amount=7, wait_s=0.5)
    assert early.status_code == 409
    assert early.json()["code"] == "idempotency_key_in_use"
    assert (await slow).status_code == 201
    assert (await shop.pay("k1", amount=7, wait_s=0.5)).headers["idempotency-replayed"] == "true"


async def test_other_errors_of_the_lock_are_not_taken_for_waiting(db: Database) -> None:
    async with db.begin() as first:
        await store.claim(first, "ada", "k1")
        with pytest.raises(DBAPIError, match="statement timeout"):
            async with db.begin() as second:
                await second.conn.execute(text("SET LOCAL statement_timeout = '50ms'"))
                await store.claim(second, "ada", "k1")


async def test_the_lock_timeout_of_the_work_is_as_it_was(db: Database) -> None:
    async with db.begin() as uow:
        shown = text("SELECT current_setting('lock_timeout')")
        before = (await uow.conn.execute(shown)).scalar_one()
        await store.claim(uow, "ada", "k1")
        assert (await uow.conn.execute(shown)).scalar_one() == before


@pytest.mark.parametrize("key", [None, "", "with space", "x" * 256])
async def test_a_missing_or_malformed_key_is_named(shop: Shop, key: str | None) -> None:
    answer = await shop.pay(key, amount=5)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "header.Idempotency-Key"
    assert await shop.paid() == 0


async def test_without_a_key_where_it_is_not_demanded(shop: Shop) -> None:
    for _ in range(2):
        assert (await shop.pay(None, route="pay-freely", amount=5)).status_code == 200
    assert await shop.paid() == 2


async def test_answers_expire_after_a_day(shop: Shop) -> None:
    with use_clock(FrozenClock(clock.now())) as frozen:
        assert isinstance(frozen, FrozenClock)
        await shop.pay("k1", amount=5)
        frozen.advance(timedelta(hours=23, minutes=59))
        assert (await shop.pay("k1", amount=5)).json()["number"] == 1
        frozen.advance(timedelta(minutes=2))
        assert (await shop.pay("k1", amount=6)).json()["number"] == 2
        await shop.pay("k2", amount=5)
        frozen.advance(timedelta(hours=25))
        async with shop.db.begin() as uow:
            assert await store.forget_answers(uow, clock.now() - store.KEPT, limit=1) == 1
            assert await store.forget_answers(uow, clock.now() - store.KEPT) == 1
            count = select(func.count()).select_from(store.idempotency_keys)
            assert (await uow.conn.execute(count)).scalar_one() == 0


async def test_the_header_is_documented(shop: Shop) -> None:
    document = create_app(AppOptions(), [router]).openapi()
    for path, required in (("/api/v1/pay", True), ("/api/v1/pay-freely", False)):
        parameters = {p["name"]: p for p in document["paths"][path]["post"]["parameters"]}
        assert parameters["Idempotency-Key"]["required"] is required
        assert "idempotency_key_reused" in parameters["Idempotency-Key"]["description"]
