"""Registers drivers and devices for recorded drives through the public API, as a member of staff."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from auto_insurance.devicekit.client import API_PREFIX

FROM_THE_BEGINNING = "2000-01-01T00:00:00+00:00"
"""A replayed device was always its driver's: whatever the age of its drives, they have one."""
_TRIES = 6


class StaffError(Exception):
    """The API refused what a member of staff asked for; the message is meant for people."""


class Staff:
    """A signed-in member of staff. Use as an asynchronous context manager; signs in on entering."""

    def __init__(
        self, base_url: str, username: str, password: str, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._client = httpx.AsyncClient(base_url=base_url.rstrip("/") + API_PREFIX, timeout=30.0, transport=transport)
        self._login = {"username": username, "password": password}

    async def __aenter__(self) -> Self:
        try:
            await self._sign_in()
        except BaseException:
            await self._client.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def device_driver(self, device_id: str) -> str | None:
        """Return whose device it is now; None if there is no such device or nobody has it."""
        answer = await self._request("GET", f"/telematics/devices/{device_id}/health", missing_ok=True)
        return answer.get("driver_id")

    async def create_driver(self, full_name: str, state: str, time_zone: str, **more: Any) -> str:
        """Enrol a driver, with ``more`` of what the API takes; return its id."""
        body = {"full_name": full_name, "state": state, "time_zone": time_zone, **more}
        return str((await self._request("POST", "/drivers", json=body))["driver_id"])

    async def create_device(self, driver_id: str, device_id: str) -> str:
        """Give a driver a new device for imports and live events; return its key."""
        body = {
            "device_id": device_id,
            "kind": "tracker",
            "effective_from": FROM_THE_BEGINNING,
            "scopes": ["ingest", "import"],
        }
        return str((await self._request("POST", f"/drivers/{driver_id}/devices", json=body))["key"])

    async def new_key(self, driver_id: str, device_id: str) -> str:
        """Replace the key of a device that is there already; return the new one."""
        path = f"/drivers/{driver_id}/devices/{device_id}/rotate-key"
        return str((await self._request("POST", path, json={"scopes": ["ingest", "import"]}))["key"])

    async def stored(self, device_id: str, start: str, end: str) -> int:
        """Return how many events of a device are stored in [start, end]."""
        params = {"from": start, "to": end}
        answer = await self._request("GET", f"/telematics/devices/{device_id}/event-count", params=params)
        return int(answer["count"])

    async def trips(self, driver_id: str, device_id: str, start: str, end: str) -> list[dict[str, Any]]:
        """Return the trips of a device that started in [start, end)."""
        found: list[dict[str, Any]] = []
        for page in range(1, 101):
            params = {"from": start, "to": end, "search": device_id, "page": str(page), "page_size": "100"}
            answer = await self._request("GET", f"/drivers/{driver_id}/trips", params=params)
            found += [trip for trip in answer["items"] if trip["device_id"] == device_id]
            if page * 100 >= answer["total"]:
                break
        return found

    async def _sign_in(self) -> None:
        try:
            answer = await self._client.post("/auth/login", json=self._login)
        except httpx.TransportError as error:
            raise StaffError(f"no answer from {self._client.base_url} ({type(error).__name__})") from error
        if answer.status_code != httpx.codes.OK:
            raise StaffError(f"sign-in: {_detail(answer)}")
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    async def _request(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        missing_ok: bool = False,
    ) -> dict[str, Any]:
        answer: httpx.Response | None = None
        renewed = False
        for attempt in range(_TRIES):
            try:
                answer = await self._client.request(method, path, json=json, params=params)
            except httpx.TransportError as error:
                if method != "GET" or attempt + 1 == _TRIES:  # what was perhaps done must not be done again
                    raise StaffError(f"{method} {path}: no answer ({type(error).__name__})") from error
            else:
                if answer.status_code == httpx.codes.UNAUTHORIZED and not renewed:
                    renewed = True
                    await self._sign_in()
                    continue
                if answer.status_code not in {429, 503}:
                    break
            await asyncio.sleep(min(10.0, 0.5 * 2**attempt))
        if answer is not None and missing_ok and answer.status_code == httpx.codes.NOT_FOUND:
            return {}
        if answer is None or answer.is_error:
            raise StaffError(f"{method} {path}: {_detail(answer)}")
        found: dict[str, Any] = answer.json()
        return found


def _detail(answer: httpx.Response | None) -> str:
    if answer is None:
        return "no answer"
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.reason_phrase}"
