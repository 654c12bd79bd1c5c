"""Events per second are the mean of the last minute, told from the counter."""

from __future__ import annotations

import pytest

from auto_insurance.infra import metrics
from auto_insurance.infra.metrics import REGISTRY, EventRate


def _rate() -> float | None:
    return REGISTRY.get_sample_value("events_per_second")


async def test_the_rate_is_that_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("auto_insurance.infra.metrics.rates.time.monotonic", lambda: now[0])
    rate = EventRate()
    metrics.EVENTS_STORED_TOTAL.inc(600)
    now[0] += 10
    await rate.sample()
    assert _rate() == 10.0, "over a whole minute, so that a start does not look like a storm"
    for _ in range(12):
        metrics.EVENTS_STORED_TOTAL.inc(500)
        now[0] += 5
        await rate.sample()
    assert _rate() == pytest.approx(100.0)
    for _ in range(14):
        now[0] += 5
        await rate.sample()
    assert _rate() == 0.0
