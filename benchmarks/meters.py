"""Who used the processors, and how much memory: worker, API, PostgreSQL, broker, and we ourselves."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

OTHERS = 0.15
"""A larger share of the machine's cores in the hands of other programs makes a measurement say little."""
PART = "backends"
"""A part of another role: left out of sums."""
BUSY = 0.85
"""A thread that has a core for this share of the time is what the rest waits for."""


@dataclass(slots=True)
class Reading:
    """CPU seconds so far by role, at an instant."""

    at: float
    seconds: dict[str, float]
    backends: dict[int, float] = field(default_factory=dict)
    """The same of each process of PostgreSQL's that serves a connection, by its number."""
    machine: float = 0.0
    """The same of the whole machine."""


class Meter:
    """Reads process trees by role. The CPU time of children that have ended counts for their parent."""

    def __init__(self, roots: Mapping[str, int | None]) -> None:
        self._servants: dict[int, bool] = {}
        self._roots = {role: psutil.Process(pid) for role, pid in roots.items() if pid is not None}
        self._roots["benchmark"] = psutil.Process()

    def read(self) -> Reading:
        """Return the CPU time up to now."""
        reading = Reading(time.perf_counter(), {}, machine=_machine())
        for role, root in self._roots.items():
            total = 0.0
            for process in _tree(root, deep=role != "benchmark"):
                try:
                    times = process.cpu_times()
                except psutil.Error:
                    continue
                used = times.user + times.system
                total += used
                if role == "postgresql" and self._serves_a_client(process):
                    reading.backends[process.pid] = used
                if role != "benchmark":
                    total += times.children_user + times.children_system
            reading.seconds[role] = total
        return reading

    def _serves_a_client(self, process: psutil.Process) -> bool:
        """Return whether a process of PostgreSQL's is a connection's own: its title then names a client's address."""
        known = self._servants.get(process.pid)
        if known is None:
            try:
                known = " 127.0.0.1(" in " ".join(process.cmdline())
            except psutil.Error:
                known = False
            self._servants[process.pid] = known
        return known

    def memory(self, role: str) -> int:
        """Return the resident bytes of a role's processes; pages that they share count for each."""
        total = 0
        for process in _tree(self._roots[role]):
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
        return total


def _machine() -> float:
    """Return the CPU seconds that all processors were not idle."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _tree(root: psutil.Process, *, deep: bool = True) -> list[psutil.Process]:
    try:
        return [root, *(root.children(recursive=True) if deep else [])]
    except psutil.Error:
        return []


def split(before: Reading, after: Reading) -> dict[str, float]:
    """Return the cores that each role used on average between two readings, others of the machine included.

    ``backends`` are the connections of PostgreSQL, a part of ``postgresql``.
    """
    wall = max(after.at - before.at, 1e-9)
    found = {role: (after.seconds[role] - before.seconds.get(role, 0.0)) / wall for role in after.seconds}
    found["others"] = max(0.0, (after.machine - before.machine) / wall - sum(found.values()))
    if "postgresql" in found:
        found[PART] = sum(used - before.backends.get(pid, 0.0) for pid, used in after.backends.items()) / wall
    return {role: round(cores, 3) for role, cores in found.items()}


def joined(splits: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean over runs."""
    roles = {role for cores in splits for role in cores}
    return {role: round(sum(c.get(role, 0.0) for c in splits) / len(splits), 3) for role in sorted(roles)}


def bottleneck(cores: Mapping[str, float], consumers: int = 1, worker: str = "worker") -> str:
    """Say in words what to relieve next, from the cores that each role used."""
    cpus = os.cpu_count() or 1
    own, backend = cores.get(worker, 0.0) / consumers, cores.get(PART, 0.0) / consumers
    total = sum(used for role, used in cores.items() if role != PART)
    if cores.get("others", 0.0) > OTHERS * cpus:
        return f"not to be told: other programs used {cores['others']:.1f} of {cpus} cores"
    if own >= BUSY:
        return f"the {worker}'s own thread ({own:.0%} of a core)"
    if backend >= BUSY:
        return f"PostgreSQL, working for the {worker} ({backend:.0%} of a core)"
    if total >= 0.92 * cpus:
        top = max((role for role in cores if role != PART), key=lambda role: cores[role])
        return f"the machine's {cpus} cores ({total:.2f} used, most by {top})"
    if own + backend >= BUSY:
        return f"{worker} and PostgreSQL take turns ({own:.0%} + {backend:.0%} of a core): let them overlap"
    return (
        f"waiting: no processor is full ({worker} {own:.0%}, backend {backend:.0%} of a core), so the disk or replies"
    )
