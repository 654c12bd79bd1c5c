"""The faults, each a function that breaks something while a fleet drives."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from auto_insurance.infra.bus.kafka import KafkaLog, KafkaLogOptions
from auto_insurance.infra.bus.postgres import PostgresLog
from auto_insurance.infra.bus.protocol import EventLog, NewRecord
from auto_insurance.infra.embedded.postgres import EmbeddedPostgres
from tests.pipeline.doomed import POINTS
from tests.pipeline.fleet import Fleet
from tests.support.kafka import KafkaBroker
from tests.support.system import Service, System, wait_for

STAYS = {"KAFKA_INSTANCE_ID": "worker-1"}
"""A worker that is killed and comes again under its name needs no take-over time."""
POISON = (b"\xff\xfe\x00", b"{", b"[1, 2]", b'"text"', b'{"device_id": "car-00", "timestamp": "never"}')


@dataclass
class Scene:
    """What a fault may break."""

    system: System
    fleet: Fleet
    broker: KafkaBroker | None
    server: EmbeddedPostgres
    over_at: float = 0.0

    def over(self) -> None:
        """From now on nothing is broken any more."""
        self.over_at = time.monotonic()

    def dismiss(self) -> None:
        """Go on without a worker. Not by SIGTERM: one that has just begun would first make its rules ready."""
        for worker in self.system.of("worker"):
            worker.kill()

    @contextmanager
    def streaming(self, pause_s: float = 0.05, again: float = 0.2) -> Iterator[Callable[[], bool]]:
        """Let the fleet send beside the block; gives a function that tells whether it still does."""
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(self.fleet.stream, self.fleet.uploads(again=again), pause_s)
            yield lambda: not sending.done()
            sending.result(180)

    def consumed(self) -> int:
        """Return how many records all groups have handled."""
        return int(self.system.value("SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets"))

    def wait_for_progress(self) -> None:
        """Wait until something is handled, or all is."""
        before = self.consumed()
        wait_for(lambda: self.consumed() > before or self.system.undone() == 0, "progress", every_s=0.05)


def ended(service: Service, within_s: float = 120.0) -> int | None:
    """Return the code that a process ends with, or None when it does not end in time."""
    try:
        return service.wait(within_s)
    except subprocess.TimeoutExpired:
        return None


def killed_at_points(scene: Scene) -> None:
    """kill -9 before and after COPY, before and after the commit"""
    scene.dismiss()
    uploads = scene.fleet.uploads()
    share = len(uploads) // len(POINTS) + 1
    for number, point in enumerate(POINTS):
        scene.fleet.stream(uploads[number * share : (number + 1) * share])
        doomed = scene.system.doomed(point, 1, signal.SIGKILL, **STAYS)
        assert ended(doomed) == -signal.SIGKILL, f"not killed {point}: {doomed.said}"
    scene.over()
    scene.system.start("worker", **STAYS)


def killed_at_random(scene: Scene) -> None:
    """kill -9 of the only worker at random moments"""
    with scene.streaming():
        for _ in range(3):
            scene.wait_for_progress()
            time.sleep(scene.fleet.random.uniform(0, 0.3))
            for worker in scene.system.of("worker"):
                worker.kill()
            scene.system.start("worker")
    scene.over()


def one_of_two_dies(scene: Scene) -> None:
    """kill -9 of one of two workers, the other takes over"""
    first = scene.system.of("worker")[0]
    scene.system.start("worker")
    wait_for(lambda: sorted(scene.system.holders().values()) == [6, 6], "two share fairly")
    with scene.streaming():
        scene.wait_for_progress()
        first.kill()
        scene.over()
        wait_for(lambda: list(scene.system.holders().values()) == [12], "take-over", within_s=40)


def rebalance_storm(scene: Scene) -> None:
    """three workers join and leave, some by kill -9"""
    system = scene.system
    with scene.streaming(0.1) as going:
        while going() and len(system.services) < 12:
            system.start("worker")
            time.sleep(scene.fleet.random.uniform(0.5, 2.5))
            if len(system.of("worker")) > 3:
                leaver: Service = scene.fleet.random.choice(system.of("worker"))
                leaver.kill() if scene.fleet.random.random() < 0.5 else leaver.stop()
    scene.over()


def zombie(scene: Scene) -> None:
    """SIGSTOP beyond the session time-out, then resumed"""
    frozen = psutil.Process(scene.system.of("worker")[0].pid)
    uploads = scene.fleet.uploads()
    scene.fleet.stream(uploads[: len(uploads) // 3])
    frozen.suspend()
    try:
        scene.system.start("worker")
        scene.fleet.stream(uploads[len(uploads) // 3 :])
        scene.system.wait_settled()
    finally:
        frozen.resume()
    scene.over()
    time.sleep(2.0)
    assert len(scene.system.of("worker")) == 2, "the one that lost its partitions goes on as a member"


def zombie_in_transaction(scene: Scene) -> None:
    """SIGSTOP in the middle of a transaction, beyond the session time-out, then resumed"""
    scene.dismiss()
    uploads = scene.fleet.uploads()
    scene.fleet.stream(uploads[: len(uploads) // 3])
    stopped = scene.system.doomed("after COPY", 1, signal.SIGSTOP)
    frozen = psutil.Process(stopped.pid)
    wait_for(lambda: frozen.status() == psutil.STATUS_STOPPED, "frozen in its transaction")
    try:
        scene.system.start("worker")
        scene.fleet.stream(uploads[len(uploads) // 3 :])
        scene.system.wait_settled()
    finally:
        frozen.resume()
    scene.over()
    time.sleep(2.0)
    assert stopped.alive, "the one that lost its partitions goes on as a member"


def broker_restart(scene: Scene) -> None:
    """kill -9 of the Kafka broker, started again"""
    assert scene.broker is not None
    with scene.streaming():
        scene.wait_for_progress()
        scene.broker.kill()
        time.sleep(2.0)
        scene.broker.start()
        scene.over()


def postgres_restart(scene: Scene) -> None:
    """kill -9 of PostgreSQL, started again"""
    with scene.streaming():
        scene.wait_for_progress()
        assert scene.server.pid is not None
        main = psutil.Process(scene.server.pid)
        family = [main, *main.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, 10)
        time.sleep(2.0)
        scene.server.start()
        scene.over()


def poison(scene: Scene) -> None:
    """records that can never be stored, among the others"""
    with scene.streaming():
        scene.wait_for_progress()
        asyncio.run(_append(scene, [NewRecord(TELEMATICS_EVENTS, f"car-0{n}", bad) for n, bad in enumerate(POISON)]))
    scene.over()


def duplicates(scene: Scene) -> None:
    """every upload twice, and the whole once more after it is stored"""
    with scene.streaming(0.0, again=1.0):
        scene.wait_for_progress()
    scene.system.wait_settled()
    scene.fleet.stream(scene.fleet.uploads(again=0.0))
    scene.over()


def skewed_clocks(scene: Scene) -> None:
    """two workers whose clocks are ten minutes ahead and behind"""
    scene.dismiss()
    ahead = scene.system.doomed("skewed clock", 600)
    behind = scene.system.doomed("skewed clock", -600)
    with scene.streaming():
        wait_for(lambda: sorted(scene.system.holders().values()) == [6, 6], "two share fairly")
    assert ahead.alive
    assert behind.alive
    scene.over()


def log_full(scene: Scene) -> None:
    """a log that is full: no worker reads, the backlog reaches its limit"""
    scene.dismiss()
    with scene.streaming(0.0):
        wait_for(lambda: scene.fleet.refused > 2, "refused with 503")
        scene.system.start("worker")
        scene.over()


Fault = Callable[[Scene], None]
ALL: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        killed_at_points,
        killed_at_random,
        one_of_two_dies,
        rebalance_storm,
        zombie,
        zombie_in_transaction,
        broker_restart,
        postgres_restart,
        poison,
        duplicates,
        skewed_clocks,
        log_full,
    )
}
SETTINGS: dict[str, dict[str, str]] = {"log_full": {"KAFKA_MAX_BACKLOG": "60"}}
DEAD = {"poison": len(POISON) + 1}  # one of them is a list of two
SMOKE = ("killed_at_points",)
"""The faults of `make check`; the others take minutes."""
OUTSIDE = Path(os.environ.get("FAULTS_ROWS", os.devnull))
"""Where the rows of the table go: a line of JSON each."""


async def _append(scene: Scene, records: list[NewRecord]) -> None:
    brokers = scene.broker.address if scene.broker is not None else ""
    log: EventLog = KafkaLog(KafkaLogOptions(brokers)) if brokers else PostgresLog(scene.system.database_url)
    await log.append(records)
    await log.close()
