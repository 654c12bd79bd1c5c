from __future__ import annotations

import asyncio

import pytest

from auto_insurance.infra.health import Degraded, HealthRegistry, Lifecycle, Phase, Probe, Status


async def fine() -> None:
    await asyncio.sleep(0)


async def broken() -> None:
    raise ConnectionError("postgresql://user:secret@host is away")


async def slow() -> None:
    await asyncio.sleep(5)


async def limping() -> None:
    raise Degraded("lag is 20000 records")


async def test_all_well() -> None:
    report = await HealthRegistry([Probe("database", fine), Probe("redis", fine, critical=False)]).run()
    assert report.status is Status.HEALTHY
    assert [check.name for check in report.checks] == ["database", "redis"]
    assert all(check.latency_ms >= 0 for check in report.checks)
    assert report.failing == ()


async def test_a_critical_failure_is_unhealthy_and_tells_no_address() -> None:
    report = await HealthRegistry([Probe("database", broken)]).run()
    assert report.status is Status.UNHEALTHY
    assert report.failing == ("database",)
    assert report.checks[0].detail == "ConnectionError"


async def test_another_failure_degrades() -> None:
    report = await HealthRegistry([Probe("database", fine), Probe("redis", broken, critical=False)]).run()
    assert report.status is Status.DEGRADED
    assert report.failing == ()


async def test_a_check_may_call_itself_degraded() -> None:
    report = await HealthRegistry([Probe("consumer", limping)]).run()
    assert report.status is Status.DEGRADED
    assert report.checks[0].detail == "lag is 20000 records"


async def test_a_check_that_hangs_is_cut_off() -> None:
    report = await HealthRegistry([Probe("database", slow)], timeout_s=0.05).run()
    assert report.status is Status.UNHEALTHY
    assert "no answer" in report.checks[0].detail
    assert report.checks[0].latency_ms < 1000


async def test_many_askers_share_one_report() -> None:
    calls = 0

    async def counted() -> None:
        nonlocal calls
        calls += 1

    registry = HealthRegistry([Probe("database", counted)], reuse_s=60)
    await asyncio.gather(*(registry.run() for _ in range(20)))
    assert calls == 1


@pytest.mark.parametrize("reuse_s", [0.0])
async def test_a_report_ages(reuse_s: float) -> None:
    registry = HealthRegistry(reuse_s=reuse_s)
    assert await registry.run() is not await registry.run()


def test_lifecycle() -> None:
    life = Lifecycle()
    seen = [life.phase]
    life.serve()
    seen.append(life.phase)
    life.drain()
    assert [*seen, life.phase] == [Phase.STARTING, Phase.SERVING, Phase.DRAINING]
