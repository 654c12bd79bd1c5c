"""Logs of child processes: plain files, kept small by turning them over at each start."""

from __future__ import annotations

from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
KEEP = 3


def turn_over(file: Path, *, max_bytes: int = MAX_BYTES, keep: int = KEEP) -> None:
    """Rename ``file`` to ``file.1`` when it has grown past ``max_bytes``; older ones move up, ``keep`` are kept."""
    if not file.exists() or file.stat().st_size <= max_bytes:
        return
    for number in range(keep, 0, -1):
        older = file if number == 1 else file.with_name(f"{file.name}.{number - 1}")
        if older.exists():
            older.replace(file.with_name(f"{file.name}.{number}"))
