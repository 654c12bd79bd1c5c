"""CPU, memory and disk of the processes of this host's `up`, whichever mode the metrics run in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
from prometheus_client import Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from auto_insurance.infra.config.process_env import multiprocess_dir

_ROLE_SUFFIX = ".role"
_own_role = "api"
_disk_path = Path()


def register_process(role: str) -> None:
    """Tell the collector what this process is; in a shared folder, for all processes to see."""
    global _own_role
    _own_role = role
    folder = multiprocess_dir()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{os.getpid()}{_ROLE_SUFFIX}").write_text(role, encoding="utf-8")


def set_disk_path(path: Path) -> None:
    """Watch the disk that holds ``path`` (the data directory)."""
    global _disk_path
    _disk_path = path


def living() -> Iterator[tuple[str, psutil.Process]]:
    """Yield (role, process) of this process, or of all registered ones that are alive."""
    folder = multiprocess_dir()
    if folder is None:
        yield _own_role, psutil.Process()
        return
    for file in sorted(folder.glob(f"*{_ROLE_SUFFIX}")):
        try:
            process = psutil.Process(int(file.stem))
            # A number is used again some day: the file tells of a process that was there when it was written.
            if process.create_time() <= file.stat().st_mtime + 1:
                yield file.read_text(encoding="utf-8"), process
        except (psutil.Error, OSError, ValueError):
            continue


class HostCollector(Collector):
    """``process_*`` by role and ``disk_free_bytes``."""

    def collect(self) -> Iterable[Metric]:
        """Read the system now. A process that ends meanwhile is left out."""
        cpu = CounterMetricFamily("process_cpu_seconds", "CPU time used, user and system.", labels=["process"])
        resident = GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", labels=["process"])
        virtual = GaugeMetricFamily("process_virtual_memory_bytes", "Virtual memory.", labels=["process"])
        files = GaugeMetricFamily("process_open_fds", "Open file descriptors.", labels=["process"])
        started = GaugeMetricFamily(
            "process_start_time_seconds", "Start of the oldest process of the role, Unix time.", labels=["process"]
        )
        count = GaugeMetricFamily("process_count", "Processes alive.", labels=["process"])
        for role, (n, cpu_s, rss, vms, fds, start) in _totals().items():
            label = [role]
            cpu.add_metric(label, cpu_s)
            resident.add_metric(label, rss)
            virtual.add_metric(label, vms)
            files.add_metric(label, fds)
            started.add_metric(label, start)
            count.add_metric(label, n)
        disk = GaugeMetricFamily("disk_free_bytes", "Free space on the disk of the data directory.", value=_disk_free())
        return [cpu, resident, virtual, files, started, count, disk]


_Totals = tuple[int, float, float, float, float, float]


def _totals() -> dict[str, _Totals]:
    totals: dict[str, _Totals] = {}
    for role, process in living():
        try:
            with process.oneshot():
                times, memory = process.cpu_times(), process.memory_info()
                fds, start = process.num_fds(), process.create_time()
        except psutil.Error:
            continue
        n, cpu_s, rss, vms, open_fds, oldest = totals.get(role, (0, 0.0, 0.0, 0.0, 0.0, start))
        totals[role] = (
            n + 1,
            cpu_s + times.user + times.system,
            rss + memory.rss,
            vms + memory.vms,
            open_fds + fds,
            min(oldest, start),
        )
    return totals


def _disk_free() -> float:
    path = _disk_path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return float(shutil.disk_usage(path).free)
