"""Answers that are asked for in the same moment are made together, and are those that each would be alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from auto_insurance.kernel import clock
from auto_insurance.pricing.service import PricingService
from auto_insurance.risk.service import RiskService
from tests.integration.cache.test_reads import Api, api, apps, people, steady, two
from tests.support.scoring import add_driver, add_trip
from tests.support.statements import counted

__all__ = ["api", "apps", "two"]
READ = ("", "/trips", "/trips?page=2&page_size=2", "/score", "/current")
KNOWN = 12


def path(driver_id: str, read: str) -> str:
    area = {"/score": "risk", "/current": "pricing"}.get(read, "drivers")
    return f"/{area}/{driver_id}{read}"


async def drove(one: Api) -> list[str]:
    """Return drivers of whom all but the last were scored and priced; some have more than a page of trips."""
    ids = [f"DRV{number:03d}" for number in range(501, 501 + KNOWN)]
    async with one.container.database.begin() as uow:
        for number, driver_id in enumerate(ids):
            await add_driver(uow, driver_id)
            for days in range(number % 4):
                await add_trip(uow, driver_id, clock.now() - timedelta(days=days + 1), distance_miles=9.0)
        for driver_id in ids[:-1]:
            await one.container.get(RiskService).score_driver(uow, driver_id, "test")
            await one.container.get(PricingService).charge_initial(uow, driver_id)
    return ids


async def test_the_same_is_said_of_many_at_once(two: tuple[Api, Api]) -> None:
    one, other = two
    staff = {"Authorization": (await people(one))["boss"]}
    ids = await drove(one)
    for read in READ:
        found = await asyncio.gather(*(one.get(path(d, read), **staff) for d in (*ids, "DRV404")))
        for driver_id, answer in zip((*ids, "DRV404"), found, strict=True):
            plain = await other.plainly(path(driver_id, read), **staff)
            assert (answer.status_code, steady(answer)) == (plain.status_code, steady(plain)), path(driver_id, read)
    assert (await one.get(path(ids[-1], "/score"), **staff)).headers["etag"], "made alone, and then kept"


async def test_drivers_pages_are_the_same_for_themselves(two: tuple[Api, Api]) -> None:
    """The page of trips has a short way for the driver alone: ask for many as who reads them all."""
    one, _ = two
    known = await people(one)
    ids = [known["own_id"], known["other_id"]]
    async with one.container.database.begin() as uow:
        for number, driver_id in enumerate(ids):
            for days in range(3 + number):
                await add_trip(uow, driver_id, clock.now() - timedelta(days=days + 1), distance_miles=9.0 + days)
    for read in ("/trips", "/trips?page=2&page_size=2", "/trips?page=3&page_size=2"):
        asked = [(path("me", read), {"Authorization": known[name]}) for name in ("own", "other")]
        found = await asyncio.gather(*(one.get(where, **headers) for where, headers in asked))
        for answer, (where, headers) in zip(found, asked, strict=True):
            assert answer.headers["etag"], "the short way"
            assert answer.json() == (await one.plainly(where, **headers)).json(), where


async def test_many_at_once_are_a_few_statements(two: tuple[Api, Api]) -> None:
    one, _ = two
    staff = {"Authorization": (await people(one))["boss"]}
    ids = (await drove(one))[:-1]
    for read, most in (("", 3), ("/score", 4), ("/current", 6)):
        with counted(one.container.database) as log:
            await asyncio.gather(*(one.get(path(driver_id, read), **staff) for driver_id in ids))
        # Once for the first who asked, once for all others; sessions and models are looked at now and then.
        assert len(log) <= 2 * most, log
