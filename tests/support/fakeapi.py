"""A small HTTP server that answers as the public API does to devices and staff, and remembers what it was asked."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, Any]]


@dataclass
class FakeApi:
    """``passwords`` by user; ``refusal`` is every upload's status if not 0; ``reject`` refuses its first event."""

    passwords: dict[str, str]
    refusal: int = 0
    reject: bool = False
    base_url: str = ""
    logins: list[tuple[str, str]] = field(default_factory=list)
    drivers: list[dict[str, Any]] = field(default_factory=list)
    devices: dict[str, str] = field(default_factory=dict)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    uploads: list[tuple[str, int]] = field(default_factory=list)
    """(query, number of events) of each upload."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, query: str, body: Any) -> Answer:
        """Return status and body."""
        if path == "/live":
            return 200, {}
        path = path.removeprefix("/api/v1")
        if path == "/auth/login":
            pair = (body["username"], body["password"])
            self.logins.append(pair)
            good = self.passwords.get(pair[0]) == pair[1]
            return (200, {"access_token": "t"}) if good else (401, {"detail": "Username or password is wrong."})
        if path == "/drivers":
            self.drivers.append(body)
            return 201, {"driver_id": f"DRV{len(self.drivers):03d}"}
        if path == "/telematics/events/batch":
            return self._upload(query, body)
        return self._device(method, path, body)

    def _device(self, method: str, path: str, body: Any) -> Answer:
        if (found := re.fullmatch(r"/drivers/([^/]+)/devices", path)) and method == "POST":
            self.devices[body["device_id"]] = found[1]
            return 201, {"key": f"key-{body['device_id']}"}
        if path.endswith("/rotate-key"):
            return 200, {"key": f"key-{path.split('/')[4]}"}
        if found := re.fullmatch(r"/telematics/devices/([^/]+)/health", path):
            owner = self.devices.get(found[1])
            return (200, {"driver_id": owner}) if owner else (404, {"detail": "There is no such device."})
        if found := re.fullmatch(r"/telematics/devices/([^/]+)/event-count", path):
            return 200, {"count": sum(event["device_id"] == found[1] for event in self.events.values())}
        return 200, {"items": [], "total": 0}

    def _upload(self, query: str, body: Any) -> Answer:
        if self.refusal:
            return self.refusal, {"detail": "The event log refuses."}
        events = body["events"]
        self.uploads.append((query, len(events)))
        results = []
        if self.reject:
            events = events[1:]
            results = [{"index": 0, "reasons": [{"code": "too_old", "message": "too old"}]}]
        for event in events:
            self.events[json.dumps(event, sort_keys=True)] = event
        return 202, {"accepted": len(events), "rejected": len(results), "results": results}


@contextmanager
def serving(api: FakeApi) -> Iterator[FakeApi]:
    """Serve ``api`` on a free port of this machine; ``api.base_url`` says where."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply("GET")

        def do_POST(self) -> None:
            self._reply("POST")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def _reply(self, method: str) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                raw = gzip.decompress(raw)
            path, _, query = self.path.partition("?")
            with api.lock:
                status, body = api.answer(method, path, query, json.loads(raw) if raw else None)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        api.base_url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
