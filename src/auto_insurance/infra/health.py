"""Health: is each thing that a process needs there, and how fast does it answer?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic, perf_counter
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)


class Status(StrEnum):
    """How well something is; ``degraded`` serves, but slower or late."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class Degraded(Exception):
    """Raised by a check: it works, but not as it should. The text is shown and holds nothing secret."""


class HealthCheck(Protocol):
    """Something to look at. ``critical``: without it the whole is unhealthy, and not ready; else degraded."""

    @property
    def name(self) -> str: ...

    @property
    def critical(self) -> bool: ...

    async def check(self) -> None:
        """Return if all is well. Raises ``Degraded`` or any other exception."""
        ...


@dataclass(frozen=True, slots=True)
class Probe:
    """A check made of a function."""

    name: str
    probe: Callable[[], Awaitable[object]]
    critical: bool = True

    async def check(self) -> None:
        await self.probe()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found. ``detail`` is empty when all is well."""

    name: str
    status: Status
    latency_ms: float
    critical: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What all checks found; ``status`` is the whole's."""

    status: Status
    checks: tuple[CheckResult, ...]

    @property
    def failing(self) -> tuple[str, ...]:
        """Names of critical checks that fail: reasons for not being ready."""
        return tuple(result.name for result in self.checks if result.critical and result.status is Status.UNHEALTHY)


class HealthRegistry:
    """Runs the checks side by side, each with a time-out; a report serves all who ask within ``reuse_s``."""

    def __init__(self, checks: Sequence[HealthCheck] = (), *, timeout_s: float = 2.0, reuse_s: float = 1.0) -> None:
        self._checks = tuple(checks)
        self._timeout_s = timeout_s
        self._reuse_s = reuse_s
        self._lock = asyncio.Lock()
        self._last: tuple[float, HealthReport] | None = None

    async def run(self) -> HealthReport:
        """Return a report that is at most ``reuse_s`` old. Never raises for what a check raises."""
        async with self._lock:
            if self._last is not None and monotonic() - self._last[0] < self._reuse_s:
                return self._last[1]
            results = await asyncio.gather(*(self._one(check) for check in self._checks))
            report = HealthReport(_worst(results), tuple(results))
            self._last = (monotonic(), report)
            return report

    async def _one(self, check: HealthCheck) -> CheckResult:
        started = perf_counter()
        status, detail = Status.HEALTHY, ""
        try:
            async with asyncio.timeout(self._timeout_s):
                await check.check()
        except Degraded as error:
            status, detail = Status.DEGRADED, str(error)
        except TimeoutError:
            status, detail = Status.UNHEALTHY, f"no answer within {self._timeout_s:g} s"
        except Exception as error:
            # The message may hold an address with a password: only the kind is shown.
            status, detail = Status.UNHEALTHY, type(error).__name__
            log.warning("health_check_failed", check=check.name, error=type(error).__name__)
        latency_ms = round((perf_counter() - started) * 1000, 2)
        return CheckResult(check.name, status, latency_ms, check.critical, detail)


def _worst(results: Sequence[CheckResult]) -> Status:
    if any(result.critical and result.status is Status.UNHEALTHY for result in results):
        return Status.UNHEALTHY
    if any(result.status is not Status.HEALTHY for result in results):
        return Status.DEGRADED
    return Status.HEALTHY


class Phase(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(slots=True)
class Lifecycle:
    """The phase of this process; only ``serving`` takes traffic."""

    phase: Phase = Phase.STARTING

    def serve(self) -> None:
        """Start-up is done."""
        self.phase = Phase.SERVING

    def drain(self) -> None:
        """Finish what is under way, take nothing new."""
        self.phase = Phase.DRAINING
