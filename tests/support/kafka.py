"""A real Apache Kafka broker (KRaft, one node) as a child process, and Kafka's own command-line tools."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from auto_insurance.infra.embedded.machine import free_port
from auto_insurance.infra.embedded.process import child_argv

ROOT = Path(__file__).parents[2]
POM = ROOT / "deploy" / "kafka" / "pom.xml"
CACHE = ROOT / ".cache" / "kafka"
CLUSTER = "YXV0by1pbnN1cmFuY2UtMQ"
FETCH_S, START_S, TOOL_S = 300.0, 60.0, 60.0
JVM = ("-Xmx384m", "-Xms96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/logs
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
log.cleaner.dedupe.buffer.size=4194304
log.index.size.max.bytes=1048576
num.network.threads=2
num.io.threads=4
"""


class KafkaMissing(Exception):
    """This machine has no Java, or neither Maven nor the jars that it would bring."""


def running_broker(folder: Path) -> Iterator[KafkaBroker]:
    """Run a broker; without Java the test is skipped, in CI it fails."""
    try:
        broker = KafkaBroker(folder)
    except KafkaMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Kafka broker on this machine: {missing}")
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def jars() -> Path:
    """Return the folder with Kafka's jars; Maven brings them the first time. Raises :class:`KafkaMissing`."""
    if shutil.which("java") is None:
        raise KafkaMissing("a Kafka broker needs Java 17 or newer (java is not on the PATH)")
    folder = CACHE / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes side by side fetch once
        if not (folder / "complete").exists():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    if shutil.which("mvn") is None:
        raise KafkaMissing("Kafka's jars come with Maven (mvn is not on the PATH)")
    shutil.rmtree(folder, ignore_errors=True)
    argv = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=FETCH_S, check=False)
    if done.returncode:
        raise KafkaMissing(f"Maven could not bring Kafka's jars: {done.stdout[-500:]}")
    (folder / "complete").touch()


class KafkaBroker:
    """One broker on 127.0.0.1 with its data in a folder; may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jars = jars()
        self.port, self._controller = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._config = folder / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        self._config.write_text(_PROPERTIES.format(port=self.port, controller=self._controller, folder=folder))
        self.tool("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self._config))

    def start(self) -> None:
        """Start it and wait until it answers."""
        argv = [*self._java(*JVM), "kafka.Kafka", str(self._config)]
        with (self._folder / "broker.log").open("ab") as out:
            self._process = subprocess.Popen(
                child_argv(argv, signal.SIGKILL), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        client = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        deadline = time.monotonic() + START_S
        while True:
            try:
                client.list_topics(timeout=1.0)
            except KafkaException:
                said = (self._folder / "broker.log").read_text(errors="replace")[-2000:]
                assert self._process.poll() is None, said
                assert time.monotonic() < deadline, said
            else:
                return

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)

    def stop(self) -> None:
        """End it by SIGTERM, and by SIGKILL when that takes long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    def clear(self) -> None:
        """Delete all topics but Kafka's own."""
        client = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        names = [name for name in client.list_topics(timeout=10.0).topics if not name.startswith("__")]
        if names:
            for done in client.delete_topics(names).values():
                done.result(20.0)

    def tool(self, main: str, *arguments: str, input: str = "") -> str:
        """Run one of Kafka's own programs; return what it printed."""
        argv = [*self._java("-Xmx128m", *JVM[2:]), main, *arguments]
        done = subprocess.run(argv, input=input, capture_output=True, text=True, timeout=TOOL_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _java(self, *options: str) -> Sequence[str]:
        return [shutil.which("java") or "java", *options, "-cp", f"{self._jars}{os.sep}*"]
