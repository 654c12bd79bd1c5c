"""The runner: everything once and in order, resumable, paced, with faults on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from auto_insurance.devicekit.simulator.run import Chaos, Event, Progress, RunOptions, simulate
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import InvalidInput, Unavailable

START = datetime(2026, 3, 6, 5, tzinfo=UTC)


class Source:
    """Devices that send a numbered event each second; each "trip" is 50 s long."""

    def __init__(self, count: int = 5) -> None:
        self.devices = tuple(f"d{i}" for i in range(count))

    def stream(
        self, from_: datetime, to: datetime | None, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Event]]:
        second = -(-clock.to_us(from_) // 1_000_000)
        while to is None or clock.from_us(second * 1_000_000) < to:
            kind = {0: "ignition_on", 49: "ignition_off"}.get(second % 50, "normal")
            for i in indices if indices is not None else range(len(self.devices)):
                yield i, {"timestamp": second * 1000, "event_type": kind, "event_id": f"{i}-{second}"}
            second += 1


class Server:
    """Takes uploads; ``refuse`` of the first calls fail."""

    def __init__(self, refuse: int = 0) -> None:
        self.got: dict[str, list[int]] = {}
        self.sizes: list[int] = []
        self.refuse = refuse

    async def send(self, device_id: str, events: Sequence[Event]) -> None:
        await asyncio.sleep(0)
        if self.refuse:
            self.refuse -= 1
            raise Unavailable("full", retry_after_s=0)
        self.sizes.append(len(events))
        self.got.setdefault(device_id, []).extend(e["timestamp"] // 1000 for e in events)


def seconds(from_: datetime, count: int) -> list[int]:
    return [int(from_.timestamp()) + k for k in range(count)]


async def test_history_arrives_once_and_in_order() -> None:
    server, seen = Server(), []

    def note(progress: Progress) -> None:
        seen.append(progress.events)

    options = RunOptions(start=START, until=START + timedelta(seconds=300), live=False, lanes=3)
    done = await simulate(Source(), options, server.send, note)
    assert server.got == {f"d{i}": seconds(START, 300) for i in range(5)}
    assert done.events == 1500 == seen[-1]
    assert seen == sorted(seen)
    assert max(server.sizes) <= 30
    assert done.trips_started == done.trips_ended == 5 * 6
    assert done.uploads == len(server.sizes)
    assert done.simulated_at == START + timedelta(seconds=299)


async def test_each_device_goes_on_after_its_last_event() -> None:
    server = Server()
    resume = {"d0": START + timedelta(seconds=100), "d2": START + timedelta(seconds=7)}
    options = RunOptions(start=START, until=START + timedelta(seconds=120), live=False, lanes=2, resume=resume)
    await simulate(Source(3), options, server.send)
    assert server.got["d0"] == seconds(START + timedelta(seconds=101), 19)
    assert server.got["d1"] == seconds(START, 120)
    assert server.got["d2"] == seconds(START + timedelta(seconds=8), 112)


async def test_a_server_that_is_away_loses_nothing() -> None:
    server = Server(refuse=2)
    options = RunOptions(start=START, until=START + timedelta(seconds=60), live=False, lanes=1)
    with_pause = await asyncio.wait_for(simulate(Source(2), options, server.send), 20)
    assert server.got == {f"d{i}": seconds(START, 60) for i in range(2)}
    assert with_pause.events == 120


async def test_the_last_failed_attempt_and_other_errors_end_the_run() -> None:
    options = RunOptions(start=START, until=START + timedelta(seconds=60), live=False, lanes=4, retries=0)
    with pytest.raises(Unavailable):
        await simulate(Source(), options, Server(refuse=9).send)

    async def forbidden(device_id: str, events: Sequence[Event]) -> None:
        raise InvalidInput("no such device")

    with pytest.raises(InvalidInput):
        await simulate(Source(), options, forbidden)


async def test_uploads_come_twice_and_late_at_their_rates() -> None:
    server = Server()
    chaos = Chaos(duplicate_rate=0.2, late_rate=0.2, seed=3)
    options = RunOptions(start=START, until=START + timedelta(seconds=3000), live=False, chaos=chaos)
    done = await simulate(Source(), options, server.send)
    uploads = done.uploads
    assert done.duplicates == pytest.approx(0.2 * uploads, rel=0.35)
    assert done.late == pytest.approx(0.2 * uploads, rel=0.4)
    for times in server.got.values():
        assert sorted(set(times)) == seconds(START, 3000)
        assert len(times) > 3000
        assert times != sorted(times)


async def test_the_present_is_sent_when_it_happens_and_not_before() -> None:
    server = Server()
    now = clock.now()
    start = now - timedelta(seconds=20)
    stop = asyncio.Event()
    options = RunOptions(start=start, upload_events=5, upload_age_s=0.3, lanes=1)

    async def later() -> None:
        await asyncio.sleep(2.4)
        stop.set()

    stopper = asyncio.create_task(later())
    await asyncio.wait_for(simulate(Source(2), options, server.send, stop=stop), 10)
    await stopper
    end = clock.now().timestamp()
    for times in server.got.values():
        assert times == list(range(times[0], times[-1] + 1))
        assert times[0] in (int(start.timestamp()), int(start.timestamp()) + 1)
        assert end - 2.5 < times[-1] <= end
    assert 1 in server.sizes, "old enough, though not full"


async def test_without_an_end_and_not_live_it_stops_at_the_present() -> None:
    server = Server()
    start = clock.now() - timedelta(seconds=30)
    await asyncio.wait_for(simulate(Source(1), RunOptions(start=start, live=False), server.send), 10)
    assert 29 <= len(server.got["d0"]) <= 31


async def test_the_past_is_not_faster_than_the_limit() -> None:
    began = clock.now()
    options = RunOptions(start=START, until=START + timedelta(seconds=100), live=False, speed_up=100.0)
    await simulate(Source(2), options, Server().send)
    assert 0.9 <= (clock.now() - began).total_seconds() < 6.0


async def test_a_stop_ends_a_wait_for_the_server() -> None:
    async def away(device_id: str, events: Sequence[Event]) -> None:
        raise Unavailable("full", retry_after_s=25)

    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, stop.set)
    options = RunOptions(start=START, until=START + timedelta(seconds=60), live=False)
    done = await asyncio.wait_for(simulate(Source(2), options, away, stop=stop), 10)
    assert done.events == 0
