"""The registry: a trained model comes in as a zip, scores in the shadow, becomes the champion, and goes again."""

from __future__ import annotations

import io
import json
import time
import zipfile
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from auto_insurance.infra import metrics
from auto_insurance.kernel.clock import FrozenClock
from auto_insurance.risk.api import router
from auto_insurance.risk.features import BEHAVIOUR
from auto_insurance.risk.models import risk_models
from auto_insurance.risk.packages import pack
from auto_insurance.risk.registry import ModelRegistry, RegistryOptions
from auto_insurance.risk.scoring import load_model
from auto_insurance.risk.service import RiskService
from auto_insurance.trips.service import TripService
from tests.support.driving_model import write_model
from tests.support.scoring import TODAY, World, add_driver, add_trip

ZIP = {"content-type": "application/zip"}


@pytest.fixture
async def driven(world: World) -> World:
    """Two drivers, a smooth and a rough one; every look at the registry is a fresh one."""
    async with world.db.begin() as uow:
        for driver_id, brakings in (("DRV001", 2), ("DRV002", 120)):
            await add_driver(uow, driver_id)
            await add_trip(
                uow, driver_id, TODAY - timedelta(days=1), distance_miles=400.0, harsh_braking_count=brakings
            )
    risk = RiskService(TripService(), world.drivers, ModelRegistry(RegistryOptions(look_every_s=0.0)))
    return World(world.db, world.drivers, risk, world.pricing)


@pytest.fixture
def package(tmp_path: Path) -> bytes:
    """A model of tables over all behaviour features."""
    return pack(write_model(tmp_path / "model"))


async def add(client: httpx.AsyncClient, version: str, content: bytes) -> httpx.Response:
    return await client.post("/risk/models", params={"version": version}, content=content, headers=ZIP)


async def test_each_loading_of_a_model_is_timed(driven: World, package: bytes, frozen: FrozenClock) -> None:
    def shown() -> float:
        value = metrics.REGISTRY.get_sample_value("ml_model_load_seconds")
        assert value is not None
        return value

    async def scored_by(version: str) -> None:
        async with driven.client(router, admin=True) as client:
            again = (await client.post("/risk/DRV002/recalculate-risk")).json()
        assert again["model_version"] == version

    async with driven.client(router, admin=True) as client:
        await add(client, "tables-1", package)
        began = time.perf_counter()
        metrics.ML_MODEL_LOAD_SECONDS.set(-1.0)
        await scored_by("driving-2")
        assert shown() == -1.0, "the model in use is loaded already"
        frozen.advance(timedelta(seconds=1))
        await client.post("/risk/models/tables-1/activate", json={"note": "better"})
        await scored_by("tables-1")
        first = shown()
        assert 0 < first < time.perf_counter() - began
        await scored_by("tables-1")
        assert shown() == first, "nothing was loaded again"
    began = time.perf_counter()
    load_model()  # as a new process does
    assert 0 < shown() < time.perf_counter() - began
    assert shown() != first


async def test_a_model_on_its_way_to_champion_and_back(driven: World, package: bytes, frozen: FrozenClock) -> None:
    async with driven.client(router, admin=True) as client:
        before = (await client.get("/risk/models")).json()
        assert (before["champion"], before["challenger"]) == ("driving-2", None)
        added = await add(client, "tables-1", package)
        assert (added.status_code, added.json()["status"], added.json()["in_use"]) == (201, "candidate", False)
        assert (await client.post("/risk/models/tables-1/activate", json={"status": "shadow"})).status_code == 200
        scored = await client.post("/risk/batch-calculate", json={"driver_ids": ["DRV001", "DRV002"]})
        assert scored.json()["model_version"] == "driving-2"
        compared = (await client.get("/risk/models/tables-1/comparison")).json()
        assert (compared["drivers"], compared["champion_version"]) == (2, "driving-2")
        assert compared["rank_correlation"] == 1.0
        frozen.advance(timedelta(seconds=1))
        crowned = await client.post("/risk/models/tables-1/activate", json={"note": "better"})
        assert (crowned.status_code, crowned.json()["status"]) == (200, "champion")
        again = (await client.post("/risk/DRV002/recalculate-risk")).json()
        assert again["model_version"] == "tables-1"
        assert again["model"]["assumption_based"] is True
        breakdown = (await client.get("/risk/DRV002/breakdown")).json()
        assert {part["feature"] for part in breakdown["contributions"]} == {feature.name for feature in BEHAVIOUR}
        frozen.advance(timedelta(seconds=1))
        back = await client.post("/risk/models/roll-back", json={"note": "too hard on night shifts"})
        assert (back.status_code, back.json()["version"]) == (200, "driving-2")
        assert (await client.post("/risk/DRV002/recalculate-risk")).json()["model_version"] == "driving-2"
        after = (await client.get("/risk/models")).json()
    assert {(c["version"], c["to_status"]) for c in after["changes"][:2]} == {
        ("driving-2", "champion"), ("tables-1", "retired"),
    }  # fmt: skip
    assert after["changes"][0]["changed_by"] == "somebody"


async def test_what_could_not_score_is_refused_with_the_reason(driven: World, package: bytes, tmp_path: Path) -> None:
    async with driven.client(router, admin=True) as client:
        assert (await add(client, "no-zip", b"not a zip")).status_code == 422
        damaged = await add(client, "damaged", changed(package, "tables.json", lambda text: text + " "))
        assert damaged.status_code == 422
        assert "damaged" in damaged.json()["detail"]
        nested = io.BytesIO()
        with zipfile.ZipFile(nested, "w") as archive:
            archive.writestr("../evil.json", "{}")
        assert (await add(client, "evil", nested.getvalue())).status_code == 422
        falling = await add(client, "falling", pack(write_model(tmp_path / "falling", direction=-1.0)))
        assert falling.status_code == 422
        assert "worse driving would lower" in falling.json()["detail"]
        other = await add(client, "other", pack(write_model(tmp_path / "other", features_version="driving-0")))
        assert "driving-0" in other.json()["detail"]
        models = (await client.get("/risk/models")).json()["models"]
        assert [row["version"] for row in models] == ["driving-2", "scorecard-1"]


async def test_a_version_is_never_used_again(driven: World, package: bytes) -> None:
    async with driven.client(router, admin=True) as client:
        assert (await add(client, "tables-1", package)).status_code == 201
        assert (await add(client, "tables-1", package)).status_code == 409
        assert (await add(client, "driving-2", package)).status_code == 409
        assert (await add(client, "Not a version", package)).status_code == 422


async def test_a_model_that_rots_leaves_the_one_before_scoring(driven: World, package: bytes) -> None:
    async with driven.client(router, admin=True) as client:
        await add(client, "tables-1", package)
        async with driven.db.begin() as uow:
            broken = update(risk_models).values(artefact=b"rotten", status="champion")
            await uow.conn.execute(broken)
        again = await client.post("/risk/DRV001/recalculate-risk")
    assert (again.status_code, again.json()["model_version"]) == (200, "driving-2")


async def test_the_first_champion_says_that_its_claims_are_simulated(driven: World) -> None:
    async with driven.client(router, admin=True) as client:
        models = {row["version"]: row for row in (await client.get("/risk/models")).json()["models"]}
        card = await client.get("/risk/models/driving-2/card")
        rough = (await client.post("/risk/DRV002/recalculate-risk")).json()
        smooth = (await client.post("/risk/DRV001/recalculate-risk")).json()
    assert (models["driving-2"]["status"], models["driving-2"]["simulated"]) == ("champion", True)
    assert "simulated" in card.text
    assert rough["model_version"] == "driving-2"
    assert rough["model"]["trained_on"].startswith("Trained on simulated claims")
    assert rough["risk_score"] > smooth["risk_score"]


async def test_the_scorecard_is_a_candidate_of_every_installation(driven: World, frozen: FrozenClock) -> None:
    async with driven.client(router, admin=True) as client:
        crowned = await client.post("/risk/models/scorecard-1/activate", json={})
        assert (crowned.status_code, crowned.json()["simulated"]) == (200, True)
        rough = (await client.post("/risk/DRV002/recalculate-risk")).json()
        frozen.advance(timedelta(seconds=1))
        back = await client.post("/risk/models/roll-back", json={})
    assert rough["model_version"] == "scorecard-1"
    assert back.json()["version"] == "driving-2"


def test_without_the_trained_model_the_scorecard_scores() -> None:
    registry = ModelRegistry(RegistryOptions(default="driving-0"))
    assert registry.champion.model.info.version == "scorecard-1"


async def test_cards_and_rules_of_standing(driven: World, package: bytes) -> None:
    async with driven.client(router, admin=True) as client:
        card = await client.get("/risk/models/scorecard-1/card")
        assert (card.status_code, card.headers["content-type"]) == (200, "text/markdown; charset=utf-8")
        assert "Model card: scorecard-1" in card.text
        assert (await client.get("/risk/models/nothing/card")).status_code == 404
        assert (await client.post("/risk/models/roll-back", json={})).status_code == 409
        await add(client, "tables-1", package)
        await client.post("/risk/models/tables-1/activate", json={})
        retired = await client.post("/risk/models/tables-1/activate", json={"status": "retired"})
        assert retired.status_code == 409
        assert "make another one the champion" in retired.json()["detail"]
    async with driven.client(router, driver_id="DRV001") as client:
        assert (await client.get("/risk/models")).status_code == 403


def changed(package: bytes, name: str, change: object) -> bytes:
    """Return the zip with one file's text changed."""
    assert callable(change)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as before, zipfile.ZipFile(out, "w") as after:
        for member in before.namelist():
            text = before.read(member).decode()
            after.writestr(member, change(text) if member == name else text)
    assert json.loads(zipfile.ZipFile(out).read("manifest.json"))
    return out.getvalue()
