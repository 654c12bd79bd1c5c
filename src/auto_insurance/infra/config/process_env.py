"""The few facts that a process is told by its environment rather than by a setting."""

from __future__ import annotations

import os
from pathlib import Path


def multiprocess_dir() -> Path | None:
    """Return the folder in which the processes of one `up` share their metrics, or ``None`` for a process on its own.

    The supervisor sets ``PROMETHEUS_MULTIPROC_DIR`` for its children: the metrics library reads it when imported.
    """
    value = os.environ.get("PROMETHEUS_MULTIPROC_DIR")  # noqa: TID251 - this package is where the environment is read
    return Path(value) if value else None


def share_metrics(folder: Path) -> None:
    """Let this process and the children that it starts from now on share their metrics in a folder."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # noqa: TID251 - as above
