"""What this machine has: memory, disk, free ports."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil

MIB = 1024 * 1024


def memory_bytes() -> int:
    """Return the memory that we may use: the machine's, or less where a container limits it."""
    total = int(psutil.virtual_memory().total)
    limit = Path("/sys/fs/cgroup/memory.max")
    try:
        word = limit.read_text().strip()
    except OSError:
        return total
    return min(total, int(word)) if word.isdigit() else total


def free_disk_bytes(path: Path) -> int:
    """Return the bytes that may still be written below ``path`` (an existing folder)."""
    return int(psutil.disk_usage(str(path)).free)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that was free a moment ago; who takes it must be ready to lose the race."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a server could listen on the port now."""
    with socket.socket() as sock:
        # As servers do: an address in TIME_WAIT is no obstacle, a live listener is.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            return False
    return True


def clamp(value: int, low: int, high: int) -> int:
    """Return ``value`` moved into low..high."""
    return max(low, min(high, value))
