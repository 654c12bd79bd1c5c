"""A whole installation of real processes: a database, a folder and ports of its own, and no trace left of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import psutil

from auto_insurance.contracts import topics
from auto_insurance.infra.embedded.machine import free_port
from auto_insurance.infra.embedded.process import child_argv, child_environment
from auto_insurance.pricing import handlers as pricing_handlers
from auto_insurance.risk import handlers as risk_handlers
from tests.support.kafkaview import KafkaView

ADMIN_PASSWORD = "quiet-harbour-lantern-7"
SECRET = "a-secret-for-tests-of-32-bytes-and-more"
TELEMETRY_GROUP = "telematics-consumers-v2"
LONG_AGO = "2000-01-01T00:00:00+00:00"
QUICK_TAKE_OVER = {"DB_IDLE_IN_TRANSACTION_TIMEOUT_S": "4", "KAFKA_SESSION_TIMEOUT_S": "5"}
"""Settings for tests that kill workers: their partitions go to others sooner."""
_CONSUMED = (
    (TELEMETRY_GROUP, topics.TELEMATICS_EVENTS),
    (risk_handlers.GROUP, topics.TRIPS),
    (pricing_handlers.GROUP, topics.RISK_SCORES),
)
_REST = """
SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM device_trip_state WHERE silence_deadline IS NOT NULL)
     + (SELECT count(*) FROM risk_due_scores)
"""
_LEFT = """
SELECT (SELECT count(*) FROM outbox) AS outbox, (SELECT count(*) FROM risk_due_scores) AS due,
       (SELECT count(*) FROM device_trip_state WHERE silence_deadline IS NOT NULL) AS open_trips
"""
_BEHIND = """
SELECT d.driver_id FROM
    (SELECT driver_id, count(*) AS trips, sum(distance_miles) AS miles, max(end_time) AS last_end
       FROM trips WHERE status = 'completed' AND start_time > now() - interval '364 days' GROUP BY driver_id) d
    LEFT JOIN LATERAL
    (SELECT * FROM risk_scores s WHERE s.driver_id = d.driver_id ORDER BY calculated_at DESC, score_id DESC LIMIT 1) s
    ON true
WHERE s.trip_count IS DISTINCT FROM d.trips OR abs(s.exposure_miles - d.miles) > 1e-6 * d.miles
   OR s.trips_until IS DISTINCT FROM d.last_end
"""
_UNREAD = """
     + (SELECT coalesce(sum(h.next_offset - coalesce(o.next_offset, 0)), 0)
        FROM unnest($1::text[], $2::text[]) AS g(group_name, topic)
        JOIN log_topics t ON t.topic = g.topic
        JOIN log_heads h ON h.topic_no = t.topic_no
        LEFT JOIN consumer_offsets o
          ON (o.group_name, o.topic, o.partition_no) = (g.group_name, g.topic, h.partition_no))
"""
_READ = """
    - (SELECT coalesce(sum(o.next_offset), 0) FROM unnest($1::text[], $2::text[]) AS g(group_name, topic)
       JOIN consumer_offsets o ON (o.group_name, o.topic) = (g.group_name, g.topic))
"""
"""What is still to do, seen in one snapshot: events to relay, trips that silence will end, unread records."""
_IDS = (
    "SELECT DISTINCT convert_from(value, 'UTF8')::jsonb ->> 'id' FROM log_records "
    "WHERE topic_no = (SELECT topic_no FROM log_topics WHERE topic = $1)"
)


def _with_tests() -> str:
    """Return a module path on which the tests are, too."""
    return os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])


def wait_for(condition: Callable[[], object], what: str, within_s: float = 60.0, every_s: float = 0.1) -> None:
    """Wait until ``condition`` holds. Raises ``AssertionError`` when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(every_s)


def all_gone(processes: Sequence[psutil.Process], within_s: float = 20.0) -> bool:
    """Return whether all processes end within some seconds."""
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return not [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A new folder that every user may pass through (engines of root run as another one), removed at the end."""
    path = Path(tempfile.mkdtemp(prefix=prefix))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Service:
    """One of our processes. It ends with the test process, whatever that dies of."""

    def __init__(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], folder: Path, module: str = "auto_insurance"
    ) -> None:
        self.name = name
        number = len(list(folder.glob(f"{name}-*.log"))) + 1
        self.log = folder / f"{name}-{number}.log"
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                child_argv([sys.executable, "-m", module, *argv], signal.SIGKILL),
                cwd=folder,
                env=child_environment(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def said(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-4000:]

    def family(self) -> list[psutil.Process]:
        """Return it and all processes below it."""
        me = psutil.Process(self.pid)
        return [me, *me.children(recursive=True)]

    def interrupt(self) -> None:
        """Do what Ctrl-C in a terminal does: SIGINT to the whole group."""
        os.killpg(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """End it by SIGKILL, frozen or not."""
        self._process.kill()
        self._process.wait(20)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; return its code."""
        return self._process.wait(timeout_s)

    def stop(self, timeout_s: float = 30.0) -> int:
        """End it by SIGTERM, and by SIGKILL when that does not help; return its code."""
        if self.alive:
            self._process.terminate()
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class System:
    """api, worker and scheduler on a migrated database. Use as a context manager; settings are environment names."""

    def __init__(self, database_url: str, redis_url: str | None, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.database_url = database_url
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.services: list[Service] = []
        self._env = {
            "DATABASE_URL": database_url,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATA_DIR": str(folder / "data"),
            "ADMIN_PASSWORD": ADMIN_PASSWORD,
            "JWT_SECRET_KEY": SECRET,
            "TRIP_SETTLE_S": "1",
            "DB_POOL_SIZE": "4",
            **({"REDIS_URL": redis_url} if redis_url else {}),
            **settings,
        }
        self.http = httpx.Client(base_url=f"{self.base_url}/api/v1", timeout=20.0, trust_env=False)
        brokers = settings.get("KAFKA_BOOTSTRAP_SERVERS")
        self.kafka = KafkaView(brokers) if settings.get("EVENT_LOG") == "kafka" and brokers else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.http.close()
        for service in reversed(self.services):
            if service.alive:
                service.kill()

    def start(self, *names: str, **settings: str) -> list[Service]:
        """Start processes by name (api, worker, scheduler)."""
        begun = []
        for name in names:
            env = self._env | {"METRICS_PORT": str(free_port())} | settings
            begun.append(Service(name, [name], env, self.folder))
            self.services.append(begun[-1])
        return begun

    def start_all(self) -> Self:
        """Start one of each, wait until the system is ready, and sign in as the administrator."""
        self.start("api", "worker", "scheduler")
        self.wait_ready()
        self.sign_in()
        return self

    def doomed(self, point: str, nth: int = 1, number: signal.Signals = signal.SIGKILL, **env: str) -> Service:
        """Start a worker that strikes itself at a point of its nth batch: see ``tests.pipeline.doomed``."""
        own = self._env | {"METRICS_PORT": str(free_port()), "PYTHONPATH": _with_tests()} | env
        argv = [point, str(nth), str(int(number))]
        self.services.append(Service("worker", argv, own, self.folder, "tests.pipeline.doomed"))
        return self.services[-1]

    def of(self, name: str) -> list[Service]:
        """Return the live processes of a name."""
        return [service for service in self.services if service.name == name and service.alive]

    def wait_ready(self, within_s: float = 90.0) -> None:
        """Wait for 200 from ``/ready``."""
        try:
            wait_for(lambda: self.is_ready() or not all(s.alive for s in self.services), "ready", within_s)
            assert self.is_ready(), "a process ended before all was ready"
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *(f"{s.name}: {s.said}" for s in self.services)])) from error

    def is_ready(self) -> bool:
        """Whether ``/ready`` says 200."""
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.base_url}/ready", timeout=5.0, trust_env=False).status_code == 200
        return False

    def sign_in(self, username: str = "admin", password: str = ADMIN_PASSWORD) -> None:
        """Sign ``http`` in; waits until the account is there."""
        login = {"username": username, "password": password}
        answer = self.http.post("/auth/login", json=login)
        deadline = time.monotonic() + 60.0
        while answer.status_code in {401, 503} and time.monotonic() < deadline:
            time.sleep(0.5)
            answer = self.http.post("/auth/login", json=login)
        answer.raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def enrol(self, time_zone: str = "America/Chicago", state: str = "IL") -> str:
        """Enrol a driver; return its id."""
        answer = self.http.post("/drivers", json={"state": state, "time_zone": time_zone}).raise_for_status()
        return str(answer.json()["driver_id"])

    def device(self, driver_id: str, device_id: str, scopes: Sequence[str] = ("ingest", "import")) -> str:
        """Give a driver a device that always was its own; return the key."""
        body = {"device_id": device_id, "effective_from": LONG_AGO, "scopes": list(scopes)}
        answer = self.http.post(f"/drivers/{driver_id}/devices", json=body).raise_for_status()
        return str(answer.json()["key"])

    def send(self, key: str, events: Sequence[Mapping[str, Any]], *, importing: bool = False) -> httpx.Response:
        """Upload events as a device does; return the answer, whatever it is."""
        params = {"mode": "import"} if importing else {}
        headers = {"X-Device-Key": key}
        return self.http.post("/telematics/events/batch", json={"events": events}, headers=headers, params=params)

    def fetch(self, sql: str, *values: object) -> list[Any]:
        """Return the rows of a query."""

        async def run() -> list[Any]:
            conn = await asyncpg.connect(self.database_url, timeout=10)
            try:
                return list(await conn.fetch(sql, *values))
            finally:
                await conn.close()

        return asyncio.run(run())

    def value(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row."""
        return self.fetch(sql, *values)[0][0]

    def undone(self) -> int:
        """Return how much is still to do."""
        groups, names = (list(part) for part in zip(*_CONSUMED, strict=True))
        if self.kafka is None:
            return int(self.value(_REST + _UNREAD, groups, names))
        # The log's ends are read last: who had read so far with nothing left to relay has left nothing behind.
        rest = int(self.value(_REST + _READ, groups, names))
        return rest + sum(self.kafka.ends(name) for name in names)

    def wait_settled(self, within_s: float = 90.0) -> None:
        """Wait until all that was accepted is stored, cut into closed trips, scored and priced."""
        try:
            wait_for(lambda: self.undone() == 0, "everything done", within_s, every_s=0.25)
        except AssertionError as error:
            left = self.fetch(_LEFT)
            raise AssertionError(f"{error}: {self.undone()} left, {left}") from None

    def stored(self, devices: Sequence[str]) -> set[tuple[str, int, str]]:
        """Return the keys of the stored events: device, microseconds, event id."""
        rows = self.fetch(
            "SELECT device_id, (extract(epoch FROM timestamp) * 1000000)::bigint, event_id FROM telematics_events "
            "WHERE device_id = ANY($1)",
            list(devices),
        )
        return {(row[0], row[1], row[2]) for row in rows}

    def trips(self, devices: Sequence[str]) -> dict[str, list[tuple[str, bytes]]]:
        """Return id and content hash of the completed trips of devices, in order of time."""
        found: dict[str, list[tuple[str, bytes]]] = {device: [] for device in devices}
        rows = self.fetch(
            "SELECT device_id, trip_id, content_hash FROM trips WHERE status = 'completed' AND device_id = ANY($1) "
            "ORDER BY device_id, start_time",
            list(devices),
        )
        for row in rows:
            found[row[0]].append((str(row[1]), bytes(row[2])))
        return found

    def contents(self, devices: Sequence[str]) -> dict[str, list[bytes]]:
        """Return the content hashes of the completed trips of devices, in order of time."""
        return {device: [content for _, content in trips] for device, trips in self.trips(devices).items()}

    def published(self, topic: str) -> int:
        """Return how many different events a topic holds."""
        return len(self.fetch(_IDS, topic)) if self.kafka is None else len(self.kafka.ids(topic))

    def holders(self) -> dict[str, int]:
        """Return how many partitions of the driving events each worker reads."""
        if self.kafka is not None:
            return self.kafka.holders(TELEMETRY_GROUP, topics.TELEMATICS_EVENTS)
        query = "SELECT member, count(*) FROM bus_leases WHERE group_name = $1 AND topic = $2 GROUP BY member"
        return {row[0]: row[1] for row in self.fetch(query, TELEMETRY_GROUP, topics.TELEMATICS_EVENTS)}

    def assert_effects_once(self, dead: int = 0) -> None:
        """Check that every trip event counted once in the scores, and each score in at most one premium.

        Several events of a driver in a moment lead to one score; the newest of each driver rests on all trips as they
        are. ``dead`` letters lie there.
        """
        letters = self.fetch("SELECT group_name, topic, index_in_record, reason, detail FROM dead_letters")
        assert len(letters) == dead, letters
        handled = "SELECT count(*) FROM handled_events WHERE group_name = $1"
        scores = self.value("SELECT count(*) FROM risk_scores WHERE reason LIKE 'trip.%'")
        published = self.published(topics.TRIPS)
        assert scores <= published == self.value(handled, risk_handlers.GROUP)
        assert (scores > 0) == (published > 0)
        assert self.fetch(_BEHIND) == [], "the newest score of each driver rests on the trips as they are"
        all_scores = self.value("SELECT count(*) FROM risk_scores")
        assert all_scores == self.value(handled, pricing_handlers.GROUP)
        assert self.fetch("SELECT score_id FROM premiums GROUP BY score_id HAVING count(score_id) > 1") == []
        unscored = (
            "SELECT count(*) FROM trips t LEFT JOIN trip_scores s USING (trip_id) "
            "WHERE t.status = 'completed' AND s.revision IS DISTINCT FROM t.revision"
        )
        assert self.value(unscored) == 0, "the score of each trip is that of its last revision"
