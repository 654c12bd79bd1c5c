"""A replay against a server that is played: devices are found again, nothing is claimed that it did not say."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from auto_insurance.devicekit.client import UploadOptions
from auto_insurance.devicekit.provision import StaffError
from auto_insurance.devicekit.replay import ReplayOptions, replay
from auto_insurance.kernel import clock


@dataclass
class Server:
    """What the API does with devices, events and trips, in memory."""

    owners: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    events: dict[str, set[str]] = field(default_factory=dict)
    zones: list[str] = field(default_factory=list)
    modes: list[str | None] = field(default_factory=list)
    sign_ins: int = 0
    busy: int = 0
    open_polls: int = 1
    store: bool = True
    expired: bool = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, method = request.url.path.removeprefix("/api/v1"), request.method
        if path == "/auth/login":
            self.sign_ins += 1
            good = json.loads(request.content)["password"] == "secret"
            return (
                httpx.Response(200, json={"access_token": "t"}) if good else httpx.Response(401, json={"detail": "no"})
            )
        if path == "/telematics/events/batch":
            return self._upload(request)
        if self.busy:
            self.busy -= 1
            return httpx.Response(503, text="busy")
        if self.expired:
            self.expired = False
            return httpx.Response(401, json={"detail": "expired"})
        parts = path.strip("/").split("/")
        if method == "POST":
            return self._post(parts, json.loads(request.content))
        return self._get(parts, request.url.params)

    def _post(self, parts: list[str], body: dict[str, Any]) -> httpx.Response:
        if parts == ["drivers"]:
            self.zones.append(body["time_zone"])
            return httpx.Response(201, json={"driver_id": f"DRV{len(self.zones):03d}"})
        device_id = parts[3] if len(parts) == 5 else body["device_id"]
        if len(parts) == 3 and device_id in self.owners:
            return httpx.Response(409, json={"detail": "assigned already"})
        self.owners[device_id] = parts[1]
        self.keys[f"key-{device_id}"] = device_id
        return httpx.Response(201, json={"key": f"key-{device_id}"})

    def _get(self, parts: list[str], params: httpx.QueryParams) -> httpx.Response:
        if parts[-1] == "health":
            owner = self.owners.get(parts[2])
            return httpx.Response(200, json={"driver_id": owner}) if owner else httpx.Response(404)
        if parts[-1] == "event-count":
            span = datetime.fromisoformat(params["from"]), datetime.fromisoformat(params["to"])
            stored = [e for e in self.events.get(parts[2], ()) if span[0] <= datetime.fromisoformat(e) <= span[1]]
            return httpx.Response(200, json={"count": len(stored) if self.store else 0})
        self.open_polls -= 1
        status = "in_progress" if self.open_polls >= 0 else "completed"
        trip = {"device_id": params["search"], "status": status, "distance_miles": 1.25}
        items = [trip, trip | {"device_id": params["search"] + "-other"}]
        return httpx.Response(200, json={"items": items, "total": 2})

    def _upload(self, request: httpx.Request) -> httpx.Response:
        self.modes.append(request.url.params.get("mode"))
        device_id = self.keys[request.headers["X-Device-Key"]]
        events = json.loads(gzip.decompress(request.content))["events"]
        if any(event.get("speed") == 666 for event in events):
            return httpx.Response(422, json={"detail": "the devil"})
        bad = [n for n, event in enumerate(events) if event.get("speed", 0) > 250]
        good = [event["timestamp"] for n, event in enumerate(events) if n not in bad]
        assert all(event["device_id"] == device_id for event in events)
        self.events.setdefault(device_id, set()).update(good)
        results = [{"index": n, "reasons": [{"code": "out_of_range", "message": "too fast"}]} for n in bad]
        return httpx.Response(202, json={"accepted": len(good), "rejected": len(bad), "results": results})


def csv(folder: Path, speeds: list[float], name: str = "a") -> Path:
    path = folder / f"{name}.csv"
    rows = [f"2019-05-23T20:54:{n:02d}Z,41,-96.7,{speed}\n" for n, speed in enumerate(speeds)]
    path.write_text("timestamp,latitude,longitude,speed\n" + "".join(rows) + "later,1,1,1\n")
    return path


def options(files: list[Path], **more: Any) -> ReplayOptions:
    base: dict[str, Any] = {"files": files, "base_url": "http://t", "username": "admin", "password": "secret"}
    base |= {"poll_s": 0.01, "wait_s": 5.0, "upload": UploadOptions(batch_size=2)}
    return ReplayOptions(**(base | more))


async def test_every_row_has_its_end_and_a_second_replay_the_same_device(tmp_path: Path) -> None:
    server = Server()
    transport = httpx.MockTransport(server)
    seen: list[tuple[int, int]] = []
    files = [csv(tmp_path, [36.0, 36.0, 999.0, 36.0])]
    report = await replay(options(files), lambda done, total: seen.append((done, total)), transport)
    (drive,) = report.drives
    assert report.complete
    assert (report.rows, report.accepted, report.rejected, report.stored) == (5, 3, 2, 3)
    assert (drive.trips, drive.trip_miles) == (1, 1.25)
    assert drive.own_miles > 0
    assert drive.reasons == {"out_of_range": 1, "unreadable_row": 1}
    assert (drive.refused[0].line, drive.refused[0].message) == (4, "too fast")
    assert seen == [(2, 4), (4, 4)]
    assert (server.zones, set(server.modes)) == (["Etc/GMT+6"], {"import"})
    again = await replay(options(files), None, transport)
    assert (again.stored, again.drives[0].driver_id) == (3, drive.driver_id)
    assert len(server.zones) == 1


async def test_shifted_drives_are_live_and_end_now(tmp_path: Path) -> None:
    server = Server(open_polls=99)
    report = await replay(options([csv(tmp_path, [36.0] * 20)], speed_up=10), None, httpx.MockTransport(server))
    assert report.complete
    assert set(server.modes) == {None}
    newest = max(datetime.fromisoformat(t) for t in server.events[report.drives[0].device_id])
    assert 0 <= (clock.now() - newest).total_seconds() < 5


async def test_what_never_arrives_is_told(tmp_path: Path) -> None:
    server = Server(store=False, busy=1, expired=True)
    files = [csv(tmp_path, [36.0]), csv(tmp_path, [666.0], "devil")]
    report = await replay(options(files, wait_s=0.05), None, httpx.MockTransport(server))
    assert not report.complete
    assert [drive.error for drive in report.drives] == [None, "422: the devil"]
    assert server.sign_ins == 2


async def test_a_wrong_password_or_a_server_that_is_away_is_said_at_once(tmp_path: Path) -> None:
    files = [csv(tmp_path, [36.0])]
    with pytest.raises(StaffError, match="sign-in: no"):
        await replay(options(files, password="wrong"), None, httpx.MockTransport(Server()))

    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    with pytest.raises(StaffError, match="no answer"):
        await replay(options(files), None, httpx.MockTransport(away))
