"""What a driver does not allow is not done, from the decision on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from auto_insurance.bootstrap import Container
from auto_insurance.drivers.consent_texts import parse_purposes, purposes
from auto_insurance.drivers.errors import InvalidConsentTexts
from auto_insurance.drivers.schemas import DeviceAssign, DriverCreate, Purpose
from auto_insurance.drivers.service import ConsentService, DriverService
from auto_insurance.identity.schemas import DevicePrincipal
from auto_insurance.kernel.clock import to_us
from auto_insurance.pricing.service import PricingService
from auto_insurance.risk.priceable import PriceableScores
from auto_insurance.risk.service import RiskService
from auto_insurance.telematics.service import IngestService
from tests.integration.privacy.conftest import DEVICE, ME, drive_of
from tests.integration.trips.conftest import Worker, event_of
from tests.support.product import client_of
from tests.support.scoring import TODAY, add_trip


@pytest.fixture
async def driver(container: Container) -> str:
    """DRV001 with a device."""
    async with container.database.begin() as uow:
        drivers = container.get(DriverService)
        await drivers.ensure_driver(uow, 1, DriverCreate(state="CA"))
        wanted = DeviceAssign(device_id=DEVICE, effective_from=TODAY - timedelta(days=90))
        await drivers.assign_device(uow, ME, wanted, backdated=True)
    return ME


async def decide(container: Container, purpose: Purpose, granted: bool, *, admin: bool = False) -> dict[str, Any]:
    decision = {"purpose": purpose.value, "granted": granted, **({"version": 1} if granted else {})}
    async with client_of(container, driver_id=None if admin else ME, admin=admin) as client:
        answer = await client.put(f"/drivers/{ME}/consents", json={"consents": [decision]})
    assert answer.status_code == 200, answer.text
    return {one["purpose"]: one for one in answer.json()["consents"]}


async def test_enrolment_records_the_defaults_and_decisions_are_added(container: Container, driver: str) -> None:
    async with client_of(container, driver_id=ME) as client:
        first = {one["purpose"]: one for one in (await client.get("/drivers/me/consents")).json()["consents"]}
    assert list(first) == list(purposes())
    assert {one["source"] for one in first.values()} == {"enrolment"}
    assert {name for name, one in first.items() if not one["granted"]} == {"marketing", "third_party_sharing"}
    await decide(container, Purpose.MARKETING, True)
    again = await decide(container, Purpose.MARKETING, True)
    staff = await decide(container, Purpose.MARKETING, False, admin=True)
    assert (again["marketing"]["granted"], again["marketing"]["source"]) == (True, "driver")
    assert (staff["marketing"]["granted"], staff["marketing"]["source"]) == (False, "staff")
    async with container.database.read() as uow:
        from auto_insurance.drivers import repository_consents

        history = await repository_consents.consent_history(uow, ME)
    assert [row.seq for row in history if row.purpose == "marketing"].count(3) == 1
    assert len(history) == len(purposes()) + 2


@pytest.mark.parametrize(
    ("decision", "field"),
    [
        ({"purpose": "gossip", "granted": False}, "consents.0.purpose"),
        ({"purpose": "marketing", "granted": True}, "consents.0.version"),
        ({"purpose": "marketing", "granted": True, "version": 9}, "consents.0.version"),
    ],
)
async def test_a_wrong_decision_names_the_field(
    container: Container, driver: str, decision: dict[str, Any], field: str
) -> None:
    async with client_of(container, driver_id=ME) as client:
        answer = await client.put("/drivers/me/consents", json={"consents": [decision]})
    assert (answer.status_code, answer.json()["code"]) == (422, "consent_refused")
    assert answer.json()["errors"][0]["field"] == field


async def test_others_cannot_decide(container: Container, driver: str) -> None:
    body = {"consents": [{"purpose": "marketing", "granted": False}]}
    async with client_of(container, driver_id="DRV002") as client:
        assert (await client.put(f"/drivers/{ME}/consents", json=body)).status_code == 404


async def test_the_worker_stores_nothing_from_the_withdrawal_on(container: Container, driver: str) -> None:
    worker = Worker(container.database)
    await worker.send(drive_of(DEVICE, to_us(TODAY - timedelta(hours=9))))
    await decide(container, Purpose.TELEMATICS, False)
    await worker.send(drive_of(DEVICE, to_us(TODAY - timedelta(hours=6))))
    assert await _events(container) == (60, 0)
    await decide(container, Purpose.TELEMATICS, True)
    await worker.send(drive_of(DEVICE, to_us(TODAY - timedelta(hours=3))))
    assert await _events(container) == (120, 0)


async def _events(container: Container) -> tuple[int, int]:
    from sqlalchemy import text

    query = "SELECT (SELECT count(*) FROM telematics_events), (SELECT count(*) FROM dead_letters)"
    async with container.database.read() as uow:
        row = (await uow.conn.execute(text(query))).one()
    return row[0], row[1]


async def test_the_door_says_why(container: Container, driver: str) -> None:
    import msgspec

    await container.log.ensure_topics(_topics())
    await decide(container, Purpose.TELEMATICS, False)
    body = msgspec.json.encode({"events": [event_of(one) for one in drive_of(DEVICE, to_us(TODAY))]})
    sender = DevicePrincipal(device_id=DEVICE, driver_id=None, scopes=frozenset({"ingest"}))
    receipt = await container.get(IngestService).batch(body, sender, any_age=False, request_id=None)
    assert (receipt.accepted, receipt.total) == (0, 60)
    assert {reason.code for reasons in receipt.refused.values() for reason in reasons} == {"consent_withheld"}


def _topics() -> Any:
    from auto_insurance.contracts import topics

    return topics.ALL


async def test_scores_do_not_price(container: Container, driver: str) -> None:
    pricing, risk = container.get(PricingService), container.get(RiskService)
    async with container.database.begin() as uow:
        await add_trip(uow, ME, TODAY - timedelta(days=2), distance_miles=200.0, harsh_braking_count=160)
        await risk.score_driver(uow, ME, "test")
        await pricing.charge_initial(uow, ME)
        by_driving = await pricing.indicate_anew(uow, ME, "test")
    assert by_driving is not None
    await decide(container, Purpose.TELEMATICS_PRICING, False)
    async with container.database.read() as uow:
        assert await PriceableScores(risk).latest(uow, ME) is None
        facts_alone = await pricing.indicated(uow, ME)
    assert facts_alone is not None
    assert (facts_alone.score_id, facts_alone.model_version) == (None, None)
    assert facts_alone.annual_premium != by_driving.annual_premium
    await decide(container, Purpose.TELEMATICS_PRICING, True)
    async with container.database.read() as uow:
        back = await pricing.indicated(uow, ME)
    assert back is not None
    assert back.annual_premium == by_driving.annual_premium


async def test_without_coaching_there_is_no_advice(container: Container, driver: str) -> None:
    async with container.database.begin() as uow:
        await add_trip(uow, ME, TODAY - timedelta(days=2), distance_miles=200.0, harsh_braking_count=160)
        await container.get(RiskService).score_driver(uow, ME, "test")
    await _advice(container, there=True)
    await decide(container, Purpose.COACHING, False)
    await _advice(container, there=False)


async def _advice(container: Container, *, there: bool) -> None:
    async with client_of(container, driver_id=ME) as client:
        answers = [
            (await client.get("/risk/me/recommendations")).json()["recommendations"],
            (await client.get("/risk/me/breakdown")).json()["recommendations"],
            (await client.get("/rewards/me/summary")).json()["tips"],
        ]
    assert [bool(answer) for answer in answers] == [there] * 3


async def test_erasure_asked_for_allows_nothing_new(container: Container, driver: str) -> None:
    from auto_insurance.drivers.service import ErasureDesk

    async with container.database.begin() as uow:
        await container.get(ErasureDesk).ask(uow, ME, source="retention")
    body = {"consents": [{"purpose": "marketing", "granted": True, "version": 1}]}
    async with client_of(container, driver_id=ME) as client:
        answer = await client.put("/drivers/me/consents", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "erasure_pending")


async def test_who_never_decided_is_as_the_default_says(container: Container) -> None:
    async with container.database.read() as uow:
        consents = ConsentService()
        assert await consents.allowed(uow, "DRV999", Purpose.TRAINING)
        assert await consents.withheld(uow, ["DRV998", "DRV999"], Purpose.MARKETING) == {"DRV998", "DRV999"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('basis = "contract"', 'basis = "consent"', "nobody agreed"),
        ("version = 1", "version = 0", "versions count"),
        ('code = "coaching"', 'code = "training"', "stands there twice"),
        ("[[purpose]]", "[[purposes]]", "cannot be read"),
    ],
)
def test_unusable_texts_are_refused(old: str, new: str, told: str) -> None:
    from importlib.resources import files

    source = (files("auto_insurance.drivers") / "data" / "consents.toml").read_text("utf-8")
    assert parse_purposes(source)
    with pytest.raises(InvalidConsentTexts, match=told):
        parse_purposes(source.replace(old, new))
