"""Who may speak for whom, also while the database is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import numpy as np
import pytest

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.drivers.schemas import Assignment, DeviceHistory, Span
from auto_insurance.identity.schemas import DevicePrincipal
from auto_insurance.telematics import bulk
from auto_insurance.telematics.judging import Verdicts
from auto_insurance.telematics.limits import IngestPolicy
from auto_insurance.telematics.rights import RightsChecker, RightsOptions
from tests.unit.telematics.logged import NOW

DEVICE = DevicePrincipal(device_id="d1", driver_id=None, scopes=frozenset())
DRIVER = DevicePrincipal(device_id=None, driver_id="A", scopes=frozenset())
HANDED_OVER = NOW - 3_000_000


def span(driver_id: str, from_us: int, to_us: int | None) -> Span:
    return Span(
        from_us=from_us, to_us=to_us, assignment=Assignment(driver_id=driver_id, vehicle_id=None, time_zone="UTC")
    )


class Book:
    """Drivers and their database in one, which can be away."""

    def __init__(self) -> None:
        self.histories = {
            "d1": DeviceHistory(device_id="d1", spans=(span("A", 0, HANDED_OVER), span("B", HANDED_OVER, None))),
            "d2": DeviceHistory(device_id="d2", spans=(span("A", 0, None),)),
            "d3": DeviceHistory(device_id="d3"),
        }
        self.away = False
        self.asked = 0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        self.asked += 1
        if self.away:
            raise ConnectionRefusedError
        yield

    async def assignments(self, uow: object, device_ids: Sequence[str]) -> dict[str, DeviceHistory]:
        return {device: self.histories[device] for device in device_ids if device in self.histories}


def verdicts(*events: tuple[str, int, str | None]) -> Verdicts:
    typed = [
        TelemetryEvent(device_id=device, timestamp=(NOW - seconds * 1_000_000) // 1000, driver_id=named)
        for device, seconds, named in events
    ]
    judged = bulk.judge(typed, np.full(len(typed), NOW, np.int64), IngestPolicy())
    return Verdicts(judged, 0, len(typed), dict(judged.refused))


@pytest.fixture
def book() -> Book:
    """Histories of three devices."""
    return Book()


def checker(book: Book, **options: Any) -> RightsChecker:
    return RightsChecker(book, book, RightsOptions(**options))  # type: ignore[arg-type]


async def codes(rights: RightsChecker, sender: DevicePrincipal, found: Verdicts) -> dict[int, str]:
    return {place: reason.code.value for place, reason in (await rights.check(sender, found)).items()}


async def test_a_device_speaks_for_itself_without_a_question(book: Book) -> None:
    rights = checker(book)
    assert await codes(rights, DEVICE, verdicts(("d1", 1, None), ("d1", 9, None))) == {}
    assert await codes(rights, DEVICE, verdicts(("d2", 1, "A"), ("d1", 9, None))) == {0: "foreign_device"}
    assert await codes(rights, DEVICE, verdicts()) == {}
    assert await codes(rights, DEVICE, verdicts(("?", 1, None))) == {}, "it is refused for its name already"
    assert book.asked == 0


async def test_a_named_driver_is_the_one_of_the_events_time(book: Book) -> None:
    rights = checker(book)
    assert await codes(rights, DEVICE, verdicts(("d1", 1, "B"), ("d1", 2, "B"))) == {}
    assert await codes(rights, DEVICE, verdicts(("d1", 1, "B"), ("d1", 9, "B"))) == {1: "driver_mismatch"}
    assert await codes(rights, DEVICE, verdicts(("d1", 1, "A"), ("d1", 9, "A"), ("?", 1, "A"))) == {
        0: "driver_mismatch"
    }
    assert await codes(rights, DEVICE, verdicts(("d1", 1, "A"), ("d1", 2, "A"))) == {
        0: "driver_mismatch",
        1: "driver_mismatch",
    }


async def test_a_driver_speaks_for_the_own_devices(book: Book) -> None:
    found = verdicts(("d2", 1, None), ("d1", 9, "A"), ("d1", 1, None), ("d3", 1, None), ("d4", 1, None), ("d2", 1, "B"))
    assert await codes(checker(book), DRIVER, found) == {
        2: "foreign_device", 3: "foreign_device", 4: "foreign_device", 5: "driver_mismatch",
    }  # fmt: skip


async def test_a_refusal_is_never_given_on_an_old_history(book: Book) -> None:
    rights = checker(book)
    claim = verdicts(("d2", 1, None))
    assert await codes(rights, DRIVER, claim) == {}
    book.histories["d2"] = DeviceHistory(device_id="d2", spans=(span("B", 0, None),))
    assert await codes(rights, DRIVER, claim) == {}, "for some seconds"
    taker = msgspec.structs.replace(DRIVER, driver_id="B")
    assert await codes(rights, taker, claim) == {}


async def test_histories_outlive_the_database_for_a_stated_time(book: Book) -> None:
    rights = checker(book, fresh_s=0.0, stale_s=60.0)
    claim = verdicts(("d1", 1, "B"))
    assert await codes(rights, DEVICE, claim) == {}
    book.away = True
    assert await codes(rights, DEVICE, claim) == {}
    with pytest.raises(ConnectionRefusedError):
        await rights.check(DRIVER, verdicts(("d2", 1, None)))
    short = checker(book, fresh_s=0.0, stale_s=0.0)
    book.away = False
    assert await codes(short, DEVICE, claim) == {}
    book.away = True
    with pytest.raises(ConnectionRefusedError):
        await short.check(DEVICE, claim)


async def test_a_doubt_is_not_decided_while_the_database_is_away(book: Book) -> None:
    rights = checker(book)
    assert await codes(rights, DEVICE, verdicts(("d1", 1, "B"))) == {}
    book.away = True
    with pytest.raises(ConnectionRefusedError):
        await rights.check(DEVICE, verdicts(("d1", 1, "A")))
