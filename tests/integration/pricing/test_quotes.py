"""Quotes: the same facts and plan have the same price, which holds for a month and is bound once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.pricing.api import router
from auto_insurance.pricing.errors import QuoteBound, QuoteExpired, QuoteNotFound
from auto_insurance.pricing.models import quotes
from auto_insurance.pricing.rating import replay_all
from auto_insurance.pricing.service import QuoteRequest
from tests.support.scoring import TODAY, World, add_driver, add_trip

FORM: dict[str, Any] = {
    "state": "CA",
    "coverage": "standard",
    "date_of_birth": "1986-01-01",
    "licence_date": "2006-01-01",
    "annual_mileage": 8000,
    "prior_claims": 1,
    "vehicle_year": 2022,
    "vehicle_use": "private",
}
REQUEST = QuoteRequest.model_validate(FORM)


async def _stored(world: World) -> int:
    async with world.db.read() as uow:
        return int((await uow.conn.execute(select(func.count()).select_from(quotes))).scalar_one())


async def test_anybody_may_ask_and_see_the_own_quote(world: World) -> None:
    async with world.client(router) as client:
        for path in ("/quotes", "/auth/quote-request"):
            answer = await client.post(path, json=FORM)
            assert answer.status_code == 201, answer.text
            body = answer.json()
            # 1200 x 0.93 x 1.15 x 0.95
            assert (body["annual_premium"], body["monthly_premium"], body["currency"]) == (1219.23, 101.6, "USD")
            assert (body["status"], body["driver_id"], body["start_date"]) == ("open", None, "2026-06-15")
            assert body["expires_at"].startswith("2026-07-15T12:00:00")
            assert Decimal(body["worksheet"][-1]["amount_after"]) == Decimal("101.60")
            assert (await client.get(f"/quotes/{body['quote_id']}")).json() == body
        unknown = await client.get(f"/quotes/QUO-{'0' * 32}")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "quote_not_found")
        assert (await client.get("/quotes/1")).status_code == 422
    assert await _stored(world) == 2


async def test_the_same_facts_have_the_same_price(world: World) -> None:
    async with world.db.begin() as uow:
        one, other = [await world.pricing.quote(uow, REQUEST) for _ in range(2)]
        found = await world.pricing.get_quote(uow, one.quote_id)
    assert one.quote_id != other.quote_id
    assert (one.inputs, one.worksheet, one.annual_premium) == (other.inputs, other.worksheet, other.annual_premium)
    assert found == one
    assert replay_all(one.worksheet).annual_premium == one.annual_premium


async def test_ages_serve_instead_of_dates_and_unknown_is_unknown(world: World) -> None:
    by_age = {**FORM, "driver_age": 40, "licence_years": 20}
    del by_age["date_of_birth"], by_age["licence_date"]
    async with world.db.begin() as uow:
        quote = await world.pricing.quote(uow, QuoteRequest.model_validate(by_age))
        bare = await world.pricing.quote(uow, QuoteRequest(state="CA"))
        used = await world.pricing.quote(uow, QuoteRequest.model_validate({"state": "CA", "vehicle_use": "business"}))
    assert quote.annual_premium == Decimal("1219.23")
    assert (bare.inputs.driver_age, bare.inputs.vehicle_age, bare.inputs.annual_mileage) == (None, None, None)
    assert bare.annual_premium == Decimal("1140.00")
    assert (used.inputs.vehicle_use, used.inputs.vehicle_age) == ("business", None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"state": None}, "state"),
        ({"state": "California"}, "body.state"),
        ({"coverage": "everything"}, "body.coverage"),
        ({"annual_mileage": 10**9}, "body.annual_mileage"),
        ({"start_date": "2026-06-14"}, "start_date"),
        ({"start_date": "2027-06-16"}, "start_date"),
        ({"date_of_birth": "2030-01-01"}, "date_of_birth"),
        ({"choices": {str(n): "x" for n in range(13)}}, "body.choices"),
        ({"surprise": 1}, "body.surprise"),
    ],
)
async def test_a_wrong_field_is_named(world: World, change: dict[str, Any], field: str) -> None:
    async with world.client(router) as client:
        answer = await client.post("/quotes", json={**FORM, **change})
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert await _stored(world) == 0


async def test_a_drivers_quote_knows_the_driver_and_is_not_for_others(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001", declared_annual_mileage=8000, prior_claims=1)
        await add_driver(uow, "DRV002")
        hard = {"harsh_braking_count": 500, "rapid_accel_count": 500, "harsh_corner_count": 500, "night_miles": 400.0}
        await add_trip(uow, "DRV001", TODAY - timedelta(days=9), distance_miles=900.0, **hard)
        score = await world.risk.score_driver(uow, "DRV001", "test")
    async with world.client(router, driver_id="DRV001") as client:
        body = (await client.post("/quotes?driver_id=me", json={})).json()
        assert body["driver_id"] == "DRV001"
        assert body["annual_premium"] > 1219.23, "the driving counts"
        assert (await client.get(f"/quotes/{body['quote_id']}")).status_code == 200
        assert (await client.post("/quotes?driver_id=DRV002", json={})).status_code == 404
    async with world.client(router, admin=True) as client:
        assert (await client.get(f"/quotes/{body['quote_id']}")).status_code == 200
    async with world.client(router, driver_id="DRV002") as client:
        assert (await client.get(f"/quotes/{body['quote_id']}")).status_code == 404
    async with world.client(router) as client:
        assert (await client.get(f"/quotes/{body['quote_id']}")).status_code == 404
        assert (await client.post("/quotes?driver_id=DRV001", json={})).status_code == 401
    async with world.db.read() as uow:
        assert (await world.pricing.get_quote(uow, body["quote_id"])).score_id == score.score_id


async def test_sent_twice_with_a_key_it_is_one_quote(world: World) -> None:
    async with world.client(router) as client:
        headers = {"Idempotency-Key": "once"}
        one = await client.post("/quotes", json=FORM, headers=headers)
        two = await client.post("/quotes", json=FORM, headers=headers)
        other = await client.post("/quotes", json={**FORM, "state": "NY"}, headers=headers)
    assert one.json() == two.json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await _stored(world) == 1


async def test_an_address_may_not_ask_without_end(world: World) -> None:
    async with replace(world, quotes_per_minute=3).client(router) as client:
        codes = [(await client.post("/quotes", json=FORM)).status_code for _ in range(4)]
        refused = await client.post("/quotes", json=FORM)
    assert codes == [201, 201, 201, 429]
    assert int(refused.headers["Retry-After"]) >= 1


async def test_a_quote_expires(world: World, frozen: FrozenClock) -> None:
    async with world.db.begin() as uow:
        quote = await world.pricing.quote(uow, REQUEST)
    frozen.advance(timedelta(days=30) - timedelta(seconds=1))
    async with world.db.read() as uow:
        assert (await world.pricing.get_quote(uow, quote.quote_id)).status == "open"
    frozen.advance(timedelta(seconds=1))
    async with world.db.begin() as uow:
        assert (await world.pricing.get_quote(uow, quote.quote_id)).status == "expired"
        with pytest.raises(QuoteExpired):
            await world.pricing.take_quote(uow, quote.quote_id)
        with pytest.raises(QuoteNotFound):
            await world.pricing.take_quote(uow, "QUO-none")
        assert await world.pricing.forget_expired_quotes(uow) == 0
    frozen.advance(timedelta(days=31))
    async with world.db.begin() as uow:
        assert await world.pricing.forget_expired_quotes(uow) == 1


async def test_many_bind_a_quote_and_one_gets_it(world: World) -> None:
    async with world.db.begin() as uow:
        await add_driver(uow, "DRV001", declared_annual_mileage=None)
        quote = await world.pricing.quote(uow, REQUEST)

    async def bind(number: int) -> str | None:
        try:
            async with world.db.begin() as uow:
                taken = await world.pricing.take_quote(uow, quote.quote_id)
                await world.pricing.charge(
                    uow, "DRV001", reason="bind", effective_date=taken.inputs.rating_date, quote=taken
                )
                await world.pricing.quote_bound(uow, quote.quote_id, policy_id=f"POL-{number}", driver_id="DRV001")
                return f"POL-{number}"
        except QuoteBound:
            return None

    won = [policy for policy in await asyncio.gather(*(bind(n) for n in range(100))) if policy is not None]
    assert len(won) == 1
    async with world.db.begin() as uow:
        found = await world.pricing.get_quote(uow, quote.quote_id)
        charged = (await world.pricing.current(uow, "DRV001")).charged
    assert (found.status, found.policy_id, found.driver_id) == ("bound", won[0], "DRV001")
    assert charged.annual_premium == quote.annual_premium, "the price is that of the quote"
    assert charged.changes is not None
    assert (charged.version, charged.changes.annual_mileage) == (1, 8000)


async def test_a_bind_that_fails_leaves_the_quote_open(world: World) -> None:
    async with world.db.begin() as uow:
        quote = await world.pricing.quote(uow, REQUEST)
    with pytest.raises(RuntimeError):
        async with world.db.begin() as uow:
            await world.pricing.take_quote(uow, quote.quote_id)
            raise RuntimeError("the policy could not be written")
    async with world.db.read() as uow:
        assert await world.pricing.get_quote(uow, quote.quote_id) == quote
