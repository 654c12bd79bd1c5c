"""Whatever happens to a policy, in whatever order: books, rows and events tell the same story."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from random import Random

import msgspec
import pytest

from auto_insurance.contracts import topics
from auto_insurance.contracts.policies import PolicyChanged
from auto_insurance.kernel.clock import FrozenClock, now
from auto_insurance.kernel.errors import AppError
from auto_insurance.policies.earning import earned
from auto_insurance.policies.service import CancelOrder, Initiator, Method
from auto_insurance.policies.stretches import money, segments
from tests.support.policies import STAFF, PolicyWorld
from tests.support.scoring import published

CHANGES = (
    {"coverage": "full"},
    {"coverage": "liability"},
    {"annual_mileage": 18_000},
    {"state": "NY"},
    {"vehicle_use": "business"},
)


class Life:
    """A policy to which anything may happen."""

    def __init__(self, world: PolicyWorld, policy_id: str, random: Random, frozen: FrozenClock) -> None:
        self._world, self._id, self._random, self._frozen = world, policy_id, random, frozen

    async def happen(self) -> bool:
        """Let something happen; False if it was refused."""
        actions: list[Callable[[], Awaitable[object]]] = [
            self._endorse, self._endorse, self._cancel, self._lapse, self._reinstate, self._renew, self._time,
        ]  # fmt: skip
        try:
            await self._random.choice(actions)()
        except AppError:
            return False
        return True

    def _day(self) -> date:
        return now().date() + timedelta(days=self._random.randint(-60, 300))

    async def _endorse(self) -> None:
        await self._world.endorse(self._id, self._day(), self._random.choice(CHANGES))

    async def _cancel(self) -> None:
        order = CancelOrder(
            reason="anything",
            effective_on=self._day(),
            method=self._random.choice([*Method, None]),
            initiator=Initiator.INSURED,
        )
        async with self._world.db.begin() as uow:
            await self._world.service.cancel(uow, self._id, order, STAFF)

    async def _lapse(self) -> None:
        async with self._world.db.begin() as uow:
            await self._world.service.lapse(uow, self._id, self._day(), "unpaid")

    async def _reinstate(self) -> None:
        async with self._world.db.begin() as uow:
            await self._world.service.reinstate(uow, self._id, STAFF, "anything", no_losses=True)

    async def _renew(self) -> None:
        async with self._world.db.begin() as uow:
            await self._world.service.renew(uow, self._id, STAFF, months=self._random.choice([None, 6, 12]))

    async def _time(self) -> None:
        self._frozen.advance(timedelta(days=self._random.randint(1, 120)))
        async with self._world.db.begin() as uow:
            await self._world.service.step(uow, self._id)


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_of_anything(world: PolicyWorld, frozen: FrozenClock, seed: int) -> None:
    policy = await world.bound(months=6 if seed % 2 else 12)
    life = Life(world, policy.policy_id, Random(seed), frozen)
    taken = 0
    for _ in range(25):
        taken += await life.happen()
        for term in await world.terms(policy.policy_id):
            assert money(term.stretches, term.row.period) == term.row.money
            booked = world.books.totals.get((policy.policy_id, term.row.term), 0)
            assert booked == (0 if term.row.status == "quoted" else term.row.written)
            last = term.stretches[-1].to_on if term.stretches else term.row.starts_on
            assert earned(segments(term.stretches), term.row.period, last) == term.row.written
    assert taken >= 3
    await _told_as_it_is(world, policy.policy_id)


async def _told_as_it_is(world: PolicyWorld, policy_id: str) -> None:
    """The newest event of each term says what its row says; revisions have no gap."""
    told = [msgspec.convert(event.data, PolicyChanged) for event in await published(world.db, topics.POLICIES)]
    newest = {one.term: one for one in told}
    terms = {term.row.term: term for term in await world.terms(policy_id)}
    for number, event in newest.items():
        row = terms[number].row
        if row.status in {"quoted", "cancelled"} and event.status != row.status:
            continue  # an offer made again after a cancellation is nobody's news
        assert (event.status, event.written_premium) == (row.status, str(row.written))
    async with world.db.read() as uow:
        found, total = await world.service.transactions(uow, policy_id, limit=100)
    assert [one.revision for one in found] == list(range(total, 0, -1))
    for term in terms.values():
        if term.row.status == "quoted":
            continue
        booked = [one.money.written for one in found if one.term == term.row.term]
        assert sum(booked) == term.row.written
