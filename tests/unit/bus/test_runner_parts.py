"""Back-off, splitting, progress."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from auto_insurance.infra.bus.backoff import Backoff, wait_unless
from auto_insurance.infra.bus.offsets import Claim
from auto_insurance.infra.bus.progress import Progress
from auto_insurance.infra.bus.protocol import Record, TopicPartition
from auto_insurance.infra.bus.runner import _split

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TP = TopicPartition("trips", 0)


def record(offset: int, size: int = 1, at: datetime = T0) -> Record:
    return Record("trips", 0, offset, "k", b"x" * size, {}, at)


def test_backoff_grows_to_its_bound_and_starts_over() -> None:
    backoff = Backoff(0.1, 2.0)
    waits = [backoff.next() for _ in range(50)]
    assert 0.05 <= waits[0] <= 0.1
    assert all(1.0 <= wait <= 2.0 for wait in waits[6:])
    backoff.reset()
    assert backoff.next() <= 0.1


async def test_waiting_ends_early_on_stop() -> None:
    stop = asyncio.Event()
    assert not await wait_unless(stop, 0.01)
    stop.set()
    assert await wait_unless(stop, 60)


@pytest.mark.parametrize(
    ("sizes", "parts"), [([], []), ([9], [1]), ([1, 1, 1], [3]), ([3, 3, 3], [1, 1, 1]), ([1, 9, 1, 2], [1, 1, 2])]
)
def test_batches_are_split_by_size(sizes: list[int], parts: list[int]) -> None:
    records = [record(i, size) for i, size in enumerate(sizes)]
    cut = list(_split(records, 4))
    assert [len(part) for part in cut] == parts
    assert [r for part in cut for r in part] == records


def test_progress_is_known_only_from_what_was_done_or_seen() -> None:
    progress = Progress("g", 10_000)
    progress.assigned({TP: Claim(5, 1)})
    progress.looked({TP: 8}, T0)
    assert progress.caught_up() == {}
    assert progress.lag.messages == 3
    progress.advanced({TP: record(6, at=T0 + timedelta(seconds=1))})
    assert progress.positions() == {TP: 7}
    assert progress.caught_up() == {TP: T0 + timedelta(seconds=1)}
    progress.looked({TP: 8}, T0 + timedelta(seconds=11))
    assert progress.lag.seconds == 10.0
    progress.advanced({TP: record(7, at=T0 + timedelta(seconds=2))})
    progress.looked({TP: 8}, T0 + timedelta(seconds=12))
    assert progress.lag.seconds == 0.0
    assert progress.caught_up() == {TP: T0 + timedelta(seconds=12)}
    progress.revoked([TP])
    progress.looked({TP: 8}, T0)
    assert progress.lag.partitions == 0


def test_a_high_lag_is_logged_once_a_minute() -> None:
    progress = Progress("g", 10_000)
    progress.assigned({TP: Claim(0, 1)})
    with capture_logs() as logs:
        for _ in range(3):
            progress.looked({TP: 10_001}, T0)
    assert [entry["event"] for entry in logs] == ["consumer_lag_high"]
