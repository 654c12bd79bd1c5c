"""The lag of a consumer: gauges, and one warning a minute however often it is looked at."""

from __future__ import annotations

from datetime import timedelta

import pytest
import structlog
from structlog.testing import capture_logs

from auto_insurance.infra.bus import progress
from auto_insurance.infra.bus.offsets import Claim
from auto_insurance.infra.bus.progress import Progress
from auto_insurance.infra.bus.protocol import TopicPartition
from auto_insurance.infra.metrics import REGISTRY
from auto_insurance.kernel import clock

TP = TopicPartition("trips", 3)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, which stands still until somebody moves it."""
    now = [5.0]
    monkeypatch.setattr("auto_insurance.infra.bus.progress.time.monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "log", structlog.get_logger())
    return now


def _lags(group: str) -> tuple[float | None, float | None]:
    messages = {"topic": "trips", "partition": "3", "consumer_group": group}
    return (
        REGISTRY.get_sample_value("kafka_consumer_lag_messages", messages),
        REGISTRY.get_sample_value("kafka_consumer_lag_seconds", {"topic": "trips", "consumer_group": group}),
    )


def test_a_high_lag_is_told_once_a_minute(seconds: list[float]) -> None:
    behind = Progress("warned", warn_above=10_000)
    behind.assigned({TP: Claim(0, 1)})
    with capture_logs() as said:
        for second in range(150):
            seconds[0] = 5.0 + second
            behind.looked({TP: 10_001}, clock.now())
    assert [(entry["event"], entry["lag_messages"], entry["log_level"]) for entry in said] == [
        ("consumer_lag_high", 10_001, "warning")
    ] * 3


def test_the_limit_itself_is_not_told(seconds: list[float]) -> None:
    behind = Progress("quiet", warn_above=10_000)
    behind.assigned({TP: Claim(0, 1)})
    with capture_logs() as said:
        behind.looked({TP: 10_000}, clock.now())
    assert said == []
    assert _lags("quiet")[0] == 10_000


def test_lag_in_seconds_is_the_age_of_what_was_handled_last(seconds: list[float]) -> None:
    reader = Progress("aged", warn_above=10_000)
    reader.assigned({TP: Claim(7, 1)})
    start = clock.now()
    reader.looked({TP: 7}, start)
    assert _lags("aged") == (0, 0)
    reader.looked({TP: 9}, start + timedelta(seconds=30))
    assert _lags("aged") == (2, 30)
    assert (reader.lag.messages, reader.lag.seconds, reader.lag.partitions) == (2, 30, 1)
    reader.revoked([TP])
    assert _lags("aged")[0] is None, "what another member reads now is that member's to tell"
