"""A driver gets all own data, and nobody else's."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from xml.etree import ElementTree

import pytest

from auto_insurance.bootstrap import Container
from auto_insurance.privacy.archive_zip import csv_field
from tests.integration.privacy.conftest import ME, TRACES
from tests.support.product import client_of

pytestmark = pytest.mark.usefixtures("request_id")


@pytest.fixture
async def exported(container: Container, request_id: object) -> AsyncIterator[zipfile.ZipFile]:
    async with client_of(container, driver_id=ME) as client:
        answer = await client.get("/drivers/me/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["cache-control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        yield opened


async def test_the_zip_holds_all_own_data_and_its_manifest_is_true(exported: zipfile.ZipFile) -> None:
    manifest = json.loads(exported.read("manifest.json"))
    assert {entry["name"] for entry in manifest["files"]} | {"manifest.json"} == set(exported.namelist())
    rows = {}
    for entry in manifest["files"]:
        data = exported.read(entry["name"])
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
        rows[entry["name"]] = entry["rows"]
        if entry["name"].endswith(".json"):
            assert len(json.loads(data)) == entry["rows"]
    for name in ("drivers", "vehicles", "users", "driver_consents", "claims", "policies", "premiums", "risk_scores"):
        assert rows[f"{name}.json"] >= 1, name
    assert (rows["events.csv"], rows["trips.csv"], rows["tracks.gpx"]) == (120, 1, 60)
    whole = "".join(exported.read(name).decode() for name in exported.namelist())
    assert all(trace in whole for trace in TRACES)
    assert "DRV002" not in whole


async def test_events_of_archived_months_are_in_it_and_secrets_are_not(exported: zipfile.ZipFile) -> None:
    events = list(csv.DictReader(io.StringIO(exported.read("events.csv").decode())))
    assert {event["timestamp"][:7] for event in events} == {"2024-02", "2026-06"}
    assert "password_hash" not in json.loads(exported.read("users.json"))[0]
    assert "key_hash" not in json.loads(exported.read("device_keys.json"))[0]
    track = ElementTree.fromstring(exported.read("tracks.gpx"))
    assert len(track.findall(".//{http://www.topografix.com/GPX/1/1}trkpt")) == 60


async def test_exports_are_counted(container: Container) -> None:
    async with client_of(container, driver_id=ME) as client:
        answers = [await client.get("/drivers/me/export") for _ in range(6)]
        foreign = await client.get("/drivers/DRV002/export")
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert foreign.status_code == 404


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, ""),
        (-1.5, "-1.5"),
        ("=1+1", "'=1+1"),
        ('a "b", c', '"a ""b"", c"'),
        ("@SUM(A1)\n", '"\'@SUM(A1)\n"'),
        (True, "True"),
    ],
)
def test_fields_of_csv_run_in_no_spreadsheet(value: object, field: str) -> None:
    assert csv_field(value) == field
