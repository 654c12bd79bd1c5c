"""How far a device's clock is off, as its health shows it."""

from __future__ import annotations

import pytest

from tests.integration.telematics.conftest import Door
from tests.integration.telematics.test_ingest_api import BATCH, ONE, event

DAY_S = 86_400.0


async def offset_after(door: Door, *uploads: list[float]) -> float | None:
    """Return the offset after uploads of events at these seconds from now."""
    async with door.client(key="D1") as client:
        for seconds in uploads:
            answer = await client.post(BATCH, json={"events": [event(s) for s in seconds]})
            assert answer.status_code == 202
    await door.contacts.flush()
    token = await door.people.token("driver0001", "password0001")
    async with door.client(token) as client:
        found: float | None = (await client.get("/telematics/devices/D1/health")).json()["clock_offset_s"]
    return found


@pytest.mark.parametrize(
    ("uploads", "expected"),
    [
        ([[-300.0, -2.0]], 2.0),
        ([[-3_600.0], [-40.0, -30.0], [-7_200.0]], 30.0),  # what was kept back for hours says nothing of the clock
        ([[200.0]], -200.0),
        ([[-90.0], [120.0, 100.0]], -120.0),
        ([[DAY_S - 60, DAY_S]], -DAY_S),  # all is refused for the future: that is the clock
        ([[-20.0, DAY_S]], 20.0),  # one odd time among right ones is not
        ([[-31 * DAY_S]], None),  # too old: this may be the clock or a very late upload
    ],
)
async def test_the_least_delay_of_a_day_tells_the_clock(
    door: Door, uploads: list[list[float]], expected: float | None
) -> None:
    found = await offset_after(door, *uploads)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert expected <= found < expected + 15.0, "to the time that the way and a busy machine take"


async def test_another_fault_does_not_tell_the_clock(door: Door) -> None:
    async with door.client(key="D1") as client:
        await client.post(BATCH, json={"events": [event(DAY_S, speed=-1), event(-5, latitude=99)]})
        await client.post(ONE, json=event(DAY_S, device_id="D2"))
    assert await offset_after(door) is None


async def test_imports_do_not_tell_the_clock(door: Door) -> None:
    async with door.client(key="OLD") as client:
        taken = await client.post(f"{BATCH}?mode=import", json={"events": [event(-5, device_id="OLD")]})
    assert taken.json()["accepted"] == 1
    await door.contacts.flush()
    token = await door.people.token("driver0001", "password0001")
    async with door.client(token) as client:
        health = (await client.get("/telematics/devices/OLD/health")).json()
    assert health["clock_offset_s"] is None
    assert health["status"] == "healthy"
