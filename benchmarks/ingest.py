"""Claim: one API process takes events in batches at a good share of the requests that it can answer at all."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import msgspec

from auto_insurance import bootstrap
from auto_insurance.infra.embedded.machine import free_port
from benchmarks.common import (
    SECRET,
    Event,
    Figure,
    Server,
    figure,
    migrate_template,
    register,
    report,
    server,
    settings,
    uploads,
)

DEVICES = 50
CONNECTIONS = 8
RUNS = 3
TRIVIAL_REQUESTS = 2000
SIZES = {60: 200, 500: 30}
"""Events in an upload -> uploads in a run."""
START_S = 30.0
PATH = "/api/v1/telematics/events/batch"


def request(method: str, path: str, body: bytes = b"", key: str = "") -> bytes:
    """Return a request as it goes over the wire. A client this small leaves the machine to the server."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n"
    extra = f"Content-Type: application/json\r\nX-Device-Key: {key}\r\n" if key else ""
    return f"{head}{extra}\r\n".encode() + body


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes) -> tuple[int, bytes]:
    """Send one request and return the status and body of its answer."""
    writer.write(message)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    lengths = [int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")]
    body = await reader.readexactly(lengths[0]) if lengths else b""
    return int(lines[0].split()[1]), body


async def rate(port: int, messages: Sequence[bytes], expected: int) -> float:
    """Send all over some connections and return requests per second. Raises ``SystemExit`` for another status."""
    waiting = iter(messages)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for message in waiting:
            status, body = await exchange(reader, writer, message)
            if status != expected:
                raise SystemExit(f"status {status}: {body[:300]!r}")
            if status == 202 and b'"rejected":0' not in body:
                raise SystemExit(f"events were rejected: {body[:300]!r}")
        writer.close()
        await writer.wait_closed()

    started = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return len(messages) / (time.perf_counter() - started)


async def wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the API takes traffic. Raises ``SystemExit`` if it ends, ``TimeoutError`` if it takes too long."""
    async with asyncio.timeout(START_S):
        while True:
            if process.poll() is not None:
                raise SystemExit("the API ended")
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                status, _ = await exchange(reader, writer, request("GET", "/ready"))
                writer.close()
            except OSError:
                status = 0
            if status == 200:
                return
            await asyncio.sleep(0.1)


def messages_of(batches: Sequence[Sequence[Event]], keys: dict[str, str]) -> list[bytes]:
    """Return one upload per batch."""
    encode = msgspec.json.encode
    return [request("POST", PATH, encode({"events": batch}), keys[str(batch[0]["device_id"])]) for batch in batches]


async def measure(url: str, port: int, process: subprocess.Popen[bytes]) -> list[Figure]:
    """Run the trivial endpoint and both sizes in turn."""
    devices = [f"BENCH-{number:03d}" for number in range(DEVICES)]
    container = bootstrap.build(settings(url), "bench")
    keys = await register(container, devices)
    await container.close()
    prepared = {size: messages_of(uploads(devices, size, count), keys) for size, count in SIZES.items()}
    await wait_ready(port, process)
    trivial: list[float] = []
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(RUNS):
        trivial.append(await rate(port, [request("GET", "/live")] * TRIVIAL_REQUESTS, 200))
        for size, messages in prepared.items():
            taken[size].append(await rate(port, messages, 202))
    found = []
    for size, runs in taken.items():
        name = f"batches of {size}"
        events = [run * size for run in runs]
        found.append(figure(f"{name}, events", events, [t * size for t in trivial], unit="events/s", limit_name=LIMIT))
        found.append(figure(f"{name}, requests", runs, trivial, unit="requests/s", limit_name="GET /live"))
    return found


LIMIT = "GET /live, were each answer that many events"


def main() -> None:
    """Measure and report."""
    with server() as postgres:
        databases = Server(postgres)
        asyncio.run(databases.prepare())
        migrate_template(postgres)
        url, port = asyncio.run(databases.database()), free_port()
        env = os.environ | {"DATABASE_URL": url, "JWT_SECRET_KEY": SECRET, "PORT": str(port), "LOG_LEVEL": "WARNING"}
        process = subprocess.Popen([sys.executable, "-m", "auto_insurance", "api"], env=env)
        try:
            report("ingest", asyncio.run(measure(url, port, process)))
        finally:
            process.terminate()
            process.wait(20)


if __name__ == "__main__":
    main()
