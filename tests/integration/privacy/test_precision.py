"""Who may not locate sees places to about a kilometre and no path; a driver sees its own as they are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from auto_insurance.bootstrap import Container, metadata
from auto_insurance.drivers.precision import coarse
from auto_insurance.drivers.repository_consents import ConsentRow, add_consents
from auto_insurance.identity.deps import current_user
from auto_insurance.identity.schemas import Principal, Role
from auto_insurance.kernel import geo, ids
from auto_insurance.kernel.clock import to_us
from auto_insurance.portal.schemas import Place, TripEventItem
from auto_insurance.telematics.columns import of_samples
from auto_insurance.telematics.service import TelematicsService
from tests.integration.privacy.conftest import DEVICE, LAT, LON, ME, drive_of
from tests.support.product import client_of
from tests.support.scoring import TODAY, add_driver, add_trip

START = TODAY - timedelta(days=1)
EXACT, ROUGH = {"latitude": LAT, "longitude": LON}, {"latitude": 41.23, "longitude": -95.88}


@given(st.floats(-90, 90))
def test_the_raster_is_about_a_kilometre(degrees: float) -> None:
    assert abs(geo.coarse(degrees) - degrees) <= geo.GRID_DEG / 2 + 1e-9
    assert geo.coarse(geo.coarse(degrees)) == geo.coarse(degrees)


def test_what_is_no_place_stays() -> None:
    place = Place(latitude=LAT, longitude=LON)
    event = TripEventItem(
        kind="crash", severity="severe", started_at=START, duration_s=1.2345, peak=None, speed_mph=41.2345,
        place=place, asserted=True,
    )  # fmt: skip
    assert coarse(event) == event.model_copy(update={"place": Place(**ROUGH)})
    assert event.place == place


@pytest.fixture
async def trip_id(container: Container) -> str:
    """DRV001 drove yesterday, with an event and a claim."""
    async with container.database.begin() as uow:
        await add_driver(uow, ME)
        await container.get(TelematicsService).store(uow, of_samples(drive_of(DEVICE, to_us(START))))
        places = {"start_latitude": LAT, "start_longitude": LON, "end_latitude": LAT, "end_longitude": LON}
        trip_id = await add_trip(uow, ME, START, device_id=DEVICE, distance_miles=40.0, **places)
        event = {"kind": "crash", "severity": "severe", "started_at": START, "duration_s": 1.0, "asserted": False}
        await uow.conn.execute(
            insert(metadata().tables["trip_events"]).values(
                trip_id=trip_id, seq=0, latitude=LAT, longitude=LON, **event
            )
        )
    return str(trip_id)


async def seen(container: Container, trip_id: str, role: Role, driver_id: str | None = None) -> list[Any]:
    """Return the path and the places of list, detail, event and alert as a role sees them."""
    async with client_of(container, admin=True) as client:
        person = Principal(user_id=ids.new_uuid(), username="x", roles=frozenset({role}), driver_id=driver_id)
        client._transport.app.dependency_overrides[current_user] = lambda: person  # type: ignore[attr-defined]
        detail = (await client.get(f"/drivers/{ME}/trips/{trip_id}")).json()
        lists = [
            (await client.get(path)).json()["items"][0]
            for path in (f"/drivers/{ME}/trips", "/trips", f"/drivers/{ME}/alerts")
        ]
    places = [detail["start_place"], detail["events"][0]["place"], lists[0]["start_place"], lists[1]["end_place"]]
    return [detail["path"] is not None, detail["path_point_count"], *places, lists[2]["place"]]


@pytest.mark.parametrize(
    ("role", "driver_id", "path", "place"),
    [
        (Role.DRIVER, ME, True, EXACT),
        (Role.ADMIN, None, True, EXACT),
        (Role.AUDITOR, None, True, EXACT),
        (Role.UNDERWRITER, None, False, ROUGH),
        (Role.ACTUARY, None, False, ROUGH),
    ],
)
async def test_places_by_role(
    container: Container, trip_id: str, role: Role, driver_id: str | None, path: bool, place: dict[str, float]
) -> None:
    assert await seen(container, trip_id, role, driver_id) == [path, 60, *[place] * 5]


async def test_staff_see_no_places_of_who_withdrew_them(container: Container, trip_id: str) -> None:
    async with container.database.begin() as uow:
        row = ConsentRow(
            driver_id=ME, purpose="location_history", seq=1, granted=False, version=1, basis="contract",
            source="driver", decided_by=None, decided_at=TODAY,
        )  # fmt: skip
        await add_consents(uow, [row])
    assert await seen(container, trip_id, Role.ADMIN) == [False, 60, *[ROUGH] * 5]
    assert await seen(container, trip_id, Role.DRIVER, ME) == [True, 60, *[EXACT] * 5]


async def test_evidence_of_a_claim(container: Container, trip_id: str) -> None:
    at = (START + timedelta(seconds=30)).isoformat()
    body = {"occurred_at": at, "coverage": "collision", "description": "x", "place": EXACT, "driver_id": ME}
    async with client_of(container, driver_id=ME) as client:
        claim = (await client.post("/claims", json=body)).json()
        assert claim["place"] == EXACT, claim
    async with client_of(container, admin=True) as client:
        person = Principal(user_id=ids.new_uuid(), username="x", roles=frozenset({Role.UNDERWRITER}), driver_id=None)
        client._transport.app.dependency_overrides[current_user] = lambda: person  # type: ignore[attr-defined]
        answer = await client.get(f"/claims/{claim['claim_id']}")
    if answer.status_code == 200:
        assert answer.json()["place"] == ROUGH
        assert (answer.json()["evidence"] or {"path": None})["path"] is None
