"""Sends events to the public API as a device does: gzipped, a bounded number at once, patient with a full server."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
import structlog

log = structlog.get_logger(__name__)
API_PREFIX = "/api/v1"
_AGAIN = frozenset({408, 429, 502, 503, 504})
_encode = msgspec.json.Encoder().encode


class UploadFailed(Exception):
    """The server refused an upload for good, or could not be reached within all tries. ``status`` is None then."""

    def __init__(self, status: int | None, detail: str) -> None:
        super().__init__(f"{status}: {detail}" if status else detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """Events per batch (the server takes 5,000), uploads at once, tries per upload, and waits in seconds."""

    batch_size: int = 1_000
    concurrency: int = 4
    max_tries: int = 10
    first_wait_s: float = 0.25
    max_wait_s: float = 30.0
    timeout_s: float = 30.0


@dataclass(slots=True)
class UploadTotals:
    """What the server said. ``reasons`` counts refused events by their first reason; ``refused`` holds some of them."""

    accepted: int = 0
    rejected: int = 0
    retries: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[int, str]] = field(default_factory=list)
    """(place in what was sent, sentence), the first hundred."""

    def add(self, other: UploadTotals) -> None:
        """Add another upload's totals."""
        self.accepted += other.accepted
        self.rejected += other.rejected
        self.retries += other.retries
        self.reasons += other.reasons
        self.refused = (self.refused + other.refused)[:100]


class Uploader:
    """Sends uploads. Use as an asynchronous context manager."""

    def __init__(
        self, base_url: str, options: UploadOptions | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._options = options or UploadOptions()
        limits = httpx.Limits(max_connections=self._options.concurrency)
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/") + API_PREFIX,
            timeout=self._options.timeout_s,
            limits=limits,
            transport=transport,
        )
        self._slots = asyncio.Semaphore(self._options.concurrency)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(self, key: str, events: Sequence[Mapping[str, Any]], *, importing: bool = False) -> UploadTotals:
        """Send a device's events in order, in batches one after the other; return what became of them.

        ``importing`` takes events of any age and needs a key with that scope. Raises ``UploadFailed``; what was
        accepted before stays so, and sending all of it again adds nothing.
        """
        totals = UploadTotals()
        size = self._options.batch_size
        for start in range(0, len(events), size):
            body = gzip.compress(_encode({"events": events[start : start + size]}), compresslevel=4)
            async with self._slots:
                answer, retries = await self._post(key, body, importing)
            totals.add(_totals(answer, start, retries))
        return totals

    async def _post(self, key: str, body: bytes, importing: bool) -> tuple[dict[str, Any], int]:
        headers = {"X-Device-Key": key, "Content-Encoding": "gzip", "Content-Type": "application/json"}
        params = {"mode": "import"} if importing else {}
        last = "no answer"
        for attempt in range(self._options.max_tries):
            asked: float | None = None
            try:
                answer = await self._client.post(
                    "/telematics/events/batch", content=body, headers=headers, params=params
                )
            except httpx.TransportError as error:
                last = f"no answer ({type(error).__name__})"
            else:
                if answer.status_code == httpx.codes.ACCEPTED:
                    found: dict[str, Any] = answer.json()
                    return found, attempt
                last = _detail(answer)
                if answer.status_code not in _AGAIN:
                    raise UploadFailed(answer.status_code, last)
                asked = _retry_after(answer)
            if attempt + 1 < self._options.max_tries:
                await asyncio.sleep(self._wait_s(attempt, asked))
        raise UploadFailed(None, f"given up after {self._options.max_tries} tries: {last}")

    def _wait_s(self, attempt: int, asked: float | None) -> float:
        """Return the wait: what the server asked for, else exponential with full jitter (Brooker, AWS, 2015)."""
        longest = self._options.max_wait_s
        if asked is not None:
            return min(asked, longest)
        return random.uniform(0, min(longest, self._options.first_wait_s * 2.0**attempt))  # noqa: S311 - jitter


def _totals(answer: Mapping[str, Any], start: int, retries: int) -> UploadTotals:
    totals = UploadTotals(answer["accepted"], answer["rejected"], retries)
    for result in answer["results"]:
        reasons = result["reasons"]
        if reasons:
            totals.reasons[reasons[0]["code"]] += 1
            totals.refused.append((start + result["index"], reasons[0]["message"]))
    del totals.refused[100:]
    return totals


def _detail(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        return str(body["detail"]) if isinstance(body, dict) and "detail" in body else answer.reason_phrase
    except ValueError:
        return answer.reason_phrase


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
