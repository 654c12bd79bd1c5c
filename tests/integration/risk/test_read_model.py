"""Policies and claims as risk learns of them: whatever the order of the events, the newest revision stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from auto_insurance.contracts.claims import CLAIM_CHANGED, CLAIM_REPORTED, ClaimState
from auto_insurance.contracts.policies import POLICY_BOUND, POLICY_CANCELLED, POLICY_ENDORSED
from auto_insurance.kernel.events import Envelope, new_event
from auto_insurance.kernel.outcome import Drop, Ok
from auto_insurance.risk import repository_exposure
from auto_insurance.risk.claims_handlers import claims_subscription, policies_subscription
from tests.support.exposure import claim, policy
from tests.support.scoring import World, deliver

START = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


def policy_events() -> list[Envelope]:
    kinds = (POLICY_BOUND, POLICY_ENDORSED, POLICY_CANCELLED)
    ends = (START + YEAR, START + YEAR, START + timedelta(days=40))
    told = [policy("POL-1", "DRV001", START, end, revision=number + 1) for number, end in enumerate(ends)]
    return [new_event(one, type=kind, version=1, key="DRV001") for one, kind in zip(told, kinds, strict=True)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_newest_revision_of_a_term_stays(world: World, order: Sequence[int]) -> None:
    events = policy_events()
    for place in order:
        assert await deliver(world.db, policies_subscription(), [events[place]]) == [Ok(None)]
        assert await deliver(world.db, policies_subscription(), [events[place]]) == [Drop()]
    async with world.db.read() as uow:
        (cover,) = await repository_exposure.covers(uow, START, START + YEAR)
    assert (cover.revision, cover.driver_id, cover.term) == (3, "DRV001", 1)
    assert [(span.from_at, span.to_at) for span in cover.in_force] == [(START, START + timedelta(days=40))]


async def test_terms_stand_side_by_side(world: World) -> None:
    told = [policy("POL-1", "DRV001", START + n * YEAR, START + (n + 1) * YEAR, term=n + 1) for n in range(3)]
    batch = [new_event(one, type=POLICY_BOUND, version=1, key="DRV001") for one in told]
    await deliver(world.db, policies_subscription(), batch)
    async with world.db.read() as uow:
        assert [one.term for one in await repository_exposure.covers(uow, START, START + 3 * YEAR)] == [1, 2, 3]
        assert [one.term for one in await repository_exposure.covers(uow, START + YEAR, START + 2 * YEAR)] == [2]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_claim_that_was_entered_in_error_counts_no_longer(world: World, order: Sequence[int]) -> None:
    told: list[ClaimState] = [claim("CLM-1", "DRV001", START, revision=n + 1, counts=n == 0) for n in range(2)]
    kinds = (CLAIM_REPORTED, CLAIM_CHANGED)
    events = [new_event(one, type=kind, version=1, key="DRV001") for one, kind in zip(told, kinds, strict=True)]
    for place in order:
        await deliver(world.db, claims_subscription(), [events[place]])
    async with world.db.read() as uow:
        assert await repository_exposure.claims(uow, START, START + YEAR, START + 2 * YEAR) == []


async def test_claims_are_read_by_the_time_of_the_loss_and_of_the_report(world: World) -> None:
    late = claim("CLM-2", "DRV001", START + timedelta(days=5), reported_at=START + timedelta(days=90))
    told = (claim("CLM-1", "DRV001", START), late, claim("CLM-3", "DRV001", START + YEAR))
    await deliver(
        world.db, claims_subscription(), [new_event(c, type=CLAIM_REPORTED, version=1, key="DRV001") for c in told]
    )
    async with world.db.read() as uow:
        days = [START + timedelta(days=number) for number in (60, 91)]
        known = [await repository_exposure.claims(uow, START, START + YEAR, day) for day in days]
    assert [[one.claim_id for one in found] for found in known] == [["CLM-1"], ["CLM-1", "CLM-2"]]
