"""Prometheus text: of this process, or of all processes that share a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Metric, generate_latest, start_http_server
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from auto_insurance.infra.config.process_env import multiprocess_dir
from auto_insurance.infra.metrics.definitions import REGISTRY
from auto_insurance.infra.metrics.processes import HostCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _SharedCollector(Collector):
    """All processes of the folder; a gauge that nobody has set yet shows as 0 instead of not at all."""

    def __init__(self, folder: Path) -> None:
        self._shared = MultiProcessCollector(None, path=str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        declared = {metric.name: metric for metric in REGISTRY.collect() if metric.type == "gauge"}
        for metric in self._shared.collect():  # type: ignore[no-untyped-call]
            own = declared.get(metric.name)
            if own is not None:
                seen = {tuple(sorted(sample.labels.items())) for sample in metric.samples}
                for sample in own.samples:
                    if tuple(sorted(sample.labels.items())) not in seen:
                        metric.add_sample(sample.name, sample.labels, 0.0)
            yield metric


def exposed_registry() -> CollectorRegistry:
    """Return a registry with everything that :func:`render` shows."""
    registry = CollectorRegistry(auto_describe=False)
    folder = multiprocess_dir()
    registry.register(REGISTRY if folder is None else _SharedCollector(folder))
    registry.register(HostCollector())
    return registry


def render() -> bytes:
    """Return the metrics in Prometheus's text format. Reads files in multi-process mode: call it in a thread."""
    return generate_latest(exposed_registry())


def start_metrics_server(host: str, port: int) -> tuple[WSGIServer, Thread]:
    """Serve ``/metrics`` from a thread of its own; for processes without an API. Raises ``OSError`` if taken."""
    return start_http_server(port, host, registry=exposed_registry())


def prepare_shared_folder(folder: Path) -> None:
    """Make the folder for the processes of one `up` and empty it of an earlier one's files."""
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.db", "*.role"):
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)


def forget_process(pid: int, folder: Path) -> None:
    """Take a dead child's gauges of the living out of the sum; its counts stay."""
    mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]
    (folder / f"{pid}.role").unlink(missing_ok=True)


__all__ = [
    "CONTENT_TYPE",
    "exposed_registry",
    "forget_process",
    "prepare_shared_folder",
    "render",
    "start_metrics_server",
]
