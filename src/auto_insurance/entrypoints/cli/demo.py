"""The demo: a simulated fleet that drives through its last days and then on in real time, by the public API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import structlog

from auto_insurance.devicekit.client import Uploader, UploadFailed
from auto_insurance.devicekit.simulator.run import Progress, RunOptions, simulate
from auto_insurance.entrypoints import accounts
from auto_insurance.entrypoints.cli.live import Board, Counters, DriverRow
from auto_insurance.entrypoints.cli.scrape import Scrape, scrape
from auto_insurance.entrypoints.supervisor import SupervisorError
from auto_insurance.infra.bus.backoff import wait_unless
from auto_insurance.infra.config import Settings
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import Unavailable

log = structlog.get_logger(__name__)
HISTORY = timedelta(days=5)
SPEED_UP = 3600.0
"""Simulated seconds a second while the fleet catches up with the present."""
UPLOAD_EVENTS = 60
"""A minute of driving an upload, as a device at 1 Hz sends."""
REFRESH_S = 2.0
SAVE_S = 5.0
START_TIMEOUT_S = 60.0
NO_STAFF = (
    "The demo's fleet cannot sign in as 'admin': this data directory has an administrator of its own. Set "
    "ADMIN_PASSWORD to that password, or choose another --data-dir."
)
DRIVING_S = 120.0
"""A device that sent something within so many seconds of simulated time is shown as driving."""


@dataclass(slots=True)
class DemoState:
    """What must survive a restart: the devices' keys and how far each has come."""

    file: Path
    keys: dict[str, str] = field(default_factory=dict)
    sent_until: dict[str, datetime] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> DemoState:
        """Read the state; a missing or damaged file is a new start."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = cls(folder / "demo.json")
        try:
            saved = json.loads(state.file.read_text())
            state.keys = dict(saved["keys"])
            state.sent_until = {name: datetime.fromisoformat(at) for name, at in saved["sent_until"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            return cls(state.file)
        return state

    def save(self) -> None:
        """Write the state in one step, readable by its owner alone: the keys are secrets."""
        text = json.dumps(
            {"keys": self.keys, "sent_until": {name: at.isoformat() for name, at in self.sent_until.items()}}
        )
        draft = self.file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.replace(self.file)


async def run_demo(base_url: str, data_dir: Path, settings: Settings, stop: asyncio.Event, board: Board) -> None:
    """Drive the fleet and show it until ``stop``."""
    state = await asyncio.to_thread(DemoState.load, data_dir / "demo")
    fleet = await asyncio.to_thread(accounts.demo_fleet)
    async with httpx.AsyncClient(base_url=f"{base_url}/api/v1", timeout=10.0, trust_env=False) as client:
        given = settings.login.admin_password
        staff = Staff(client, [*([given.get_secret_value()] if given else []), accounts.ADMIN_PASSWORD])
        start = clock.now() - HISTORY
        try:
            await staff.ready(stop)
        except TimeoutError as error:
            raise SupervisorError(NO_STAFF) from error
        await staff.ensure_devices(state, fleet.devices, start)
        # Before the first mile: what is charged then rests on facts alone, and stays for the term.
        await _insure(staff, len(fleet.devices))
        async with Uploader(base_url) as uploader, asyncio.TaskGroup() as group:
            watch = Watch(fleet.drivers(), fleet.devices, state)
            group.create_task(_drive(fleet, state, uploader, start, stop))
            group.create_task(_show(staff, base_url, watch, board, stop))
            group.create_task(_keep(state, stop))


async def _drive(fleet: Any, state: DemoState, uploader: Uploader, start: datetime, stop: asyncio.Event) -> None:
    async def send(device_id: str, events: Sequence[Mapping[str, Any]]) -> None:
        try:
            await uploader.send(state.keys[device_id], events)
        except UploadFailed as error:
            if error.status is None:
                raise Unavailable(str(error)) from error
            raise
        last = clock.from_us(int(events[-1]["timestamp"]) * 1000)
        state.sent_until[device_id] = max(last, state.sent_until.get(device_id, last))

    resume = {device: at for device, at in state.sent_until.items() if at > start}
    options = RunOptions(
        start=start, until=None, live=True, speed_up=SPEED_UP, resume=resume, upload_events=UPLOAD_EVENTS
    )

    def note(progress: Progress) -> None:
        log.debug("demo_progress", events=progress.events)

    try:
        await simulate(fleet, options, send, note, stop)
    except (UploadFailed, Unavailable) as error:
        log.error("demo_fleet_stopped", error=str(error))


async def _insure(staff: Staff, count: int) -> None:
    try:
        await staff.ensure_policies(count)
    except (httpx.HTTPError, KeyError, ValueError) as error:
        log.warning("demo_policies_not_made", error=type(error).__name__)


async def _keep(state: DemoState, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await wait_unless(stop, SAVE_S)
        await asyncio.to_thread(state.save)


async def _show(staff: Staff, base_url: str, watch: Watch, board: Board, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            figures = await scrape(base_url)
            summaries = await staff.summaries(len(watch.devices))
            board.update(watch.rows(summaries), watch.counters(figures))
        except (httpx.HTTPError, KeyError, ValueError) as error:
            log.warning("demo_board_not_updated", error=type(error).__name__)
        await wait_unless(stop, REFRESH_S)


class Staff:
    """The demo's administrator, signed in at the public API."""

    def __init__(self, client: httpx.AsyncClient, passwords: Sequence[str] = (accounts.ADMIN_PASSWORD,)) -> None:
        self._client = client
        self._passwords = passwords

    async def ready(self, stop: asyncio.Event) -> None:
        """Sign in once the demo's people are there. Raises ``TimeoutError``."""
        async with asyncio.timeout(START_TIMEOUT_S):
            while not stop.is_set():
                if await self._sign_in() and await self._has_last_driver():
                    return
                await wait_unless(stop, 0.3)

    async def ensure_devices(self, state: DemoState, devices: Sequence[str], since: datetime) -> None:
        """Give each driver its device; a key that is not in the state any more is replaced."""
        for number, device in enumerate(devices, 1):
            if device in state.keys:
                continue
            path = f"/drivers/DRV{number:03d}/devices"
            answer = await self._post(path, {"device_id": device, "effective_from": since.isoformat()})
            if answer.status_code == httpx.codes.CONFLICT:
                answer = await self._post(f"{path}/{device}/rotate-key", {})
            answer.raise_for_status()
            state.keys[device] = answer.json()["key"]
        await asyncio.to_thread(state.save)

    async def ensure_policies(self, count: int) -> None:
        """Give each driver without a policy one, as a customer gets it: a quote, and the quote bound."""
        answer = await self._client.get("/policies", params={"page_size": 100})
        answer.raise_for_status()
        insured = {item["driver_id"] for item in answer.json()["items"]}
        for number in range(1, count + 1):
            driver_id = f"DRV{number:03d}"
            if driver_id in insured:
                continue
            quote = await self._post(f"/quotes?driver_id={driver_id}", {})
            quote.raise_for_status()
            bound = await self._post(f"/quotes/{quote.json()['quote_id']}/bind", {})
            bound.raise_for_status()

    async def summaries(self, count: int) -> list[dict[str, Any]]:
        """Return the first-page numbers of all drivers."""
        found: list[dict[str, Any]] = []
        for number in range(1, count + 1):
            answer = await self._client.get(f"/drivers/DRV{number:03d}/summary")
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                await self._sign_in()
                answer = await self._client.get(f"/drivers/DRV{number:03d}/summary")
            answer.raise_for_status()
            found.append(answer.json())
        return found

    async def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        return await self._client.post(path, json=body)

    async def _sign_in(self) -> bool:
        for password in self._passwords:
            answer = await self._client.post(
                "/auth/login", json={"username": accounts.ADMIN_USER, "password": password}
            )
            if answer.status_code == httpx.codes.OK:
                self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
                return True
        return False

    async def _has_last_driver(self) -> bool:
        answer = await self._client.get(f"/drivers/DRV{accounts.DEMO_DRIVERS:03d}")
        return answer.status_code == httpx.codes.OK


class Watch:
    """Turns the API's answers into the board's rows."""

    def __init__(self, drivers: Sequence[Any], devices: Sequence[str], state: DemoState) -> None:
        self._drivers = drivers
        self.devices = devices
        self._state = state
        self._before: Scrape | None = None

    def rows(self, summaries: Sequence[Mapping[str, Any]]) -> list[DriverRow]:
        """Return one row per driver."""
        return [
            DriverRow(
                driver=f"{summary['driver_id']} {driver.name}",
                style=driver.style.name,
                status=self._status(device, summary),
                trips=summary["total_trips"],
                miles=summary["total_miles"],
                score=summary["risk_score"],
                confidence=summary["confidence"],
                premium_indicated=_money(summary["indicated_monthly_premium"]),
                premium_charged=_money(summary["monthly_premium"]),
            )
            for driver, device, summary in zip(self._drivers, self.devices, summaries, strict=True)
        ]

    def counters(self, now: Scrape) -> Counters:
        """Return the header's figures from two looks at ``/metrics``."""
        before, self._before = self._before or now, now
        seconds = max(now.at - before.at, 1e-9)
        taken = now.end_to_end_count - before.end_to_end_count
        return Counters(
            events_stored=int(now.events_stored),
            events_per_second=(now.events_stored - before.events_stored) / seconds,
            lag=int(now.lag),
            end_to_end_s=(now.end_to_end_sum - before.end_to_end_sum) / taken if taken else None,
        )

    def _status(self, device: str, summary: Mapping[str, Any]) -> str:
        at = self._state.sent_until.get(device)
        if at is None:
            return "waiting"
        day = at.strftime("%a %H:%M")
        behind = (clock.now() - at).total_seconds()
        if summary["trips_in_progress"]:
            return "driving" if behind < DRIVING_S else f"driving, {day}"
        return f"parked, {day}"


def _money(amount: float | str | None) -> Decimal | None:
    return None if amount is None else Decimal(str(amount))
