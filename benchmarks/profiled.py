"""``python -m benchmarks.profiled FILE COMMAND...``: run a command of the product under a sampler; stacks go to FILE.

A thread looks at all other threads 200 times a second. What it sees is where the interpreter is, C code counts for the
line that called it. For benchmarks only: the product itself has no such thread.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.005
WAITS = frozenset({"select", "poll", "epoll", "wait", "_wait_for_tstate_lock", "get", "run", "run_until_complete"})
"""Functions whose being on top means that the thread sleeps."""
_LIBRARY = ("/asyncio/", "/uvloop/", "threading.py", "/concurrent/")


class Sampler(threading.Thread):
    """Counts, per function, on how many samples it was on top and on how many it was anywhere in the stack."""

    def __init__(self) -> None:
        super().__init__(name="sampler", daemon=True)
        self.own: Counter[str] = Counter()
        self.under: Counter[str] = Counter()
        self.samples = self.waiting = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Sample until told to end."""
        me = threading.get_ident()
        main = threading.main_thread().ident
        while not self.ended.wait(INTERVAL_S):
            for ident, frame in sys._current_frames().items():
                if ident != me:
                    self._note(frame, main=ident == main)

    def _note(self, frame: FrameType, *, main: bool) -> None:
        asleep = _asleep(frame)
        if main:
            self.samples += 1
            self.waiting += asleep
        if asleep:
            return
        self.own[f"{_name(frame)}:{frame.f_lineno}"] += 1
        seen = set()
        walk: FrameType | None = frame
        while walk is not None:
            seen.add(_name(walk))
            walk = walk.f_back
        self.under.update(seen)

    def write(self, file: Path) -> None:
        """Write what was seen."""
        self.ended.set()
        self.join()
        file.write_text(
            json.dumps(
                {
                    "samples": self.samples,
                    "waiting": self.waiting,
                    "own": self.own.most_common(60),
                    "under": self.under.most_common(120),
                }
            )
        )


def _asleep(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_name in WAITS and any(part in code.co_filename for part in _LIBRARY)


def _name(frame: FrameType) -> str:
    code = frame.f_code
    place = code.co_filename
    for root in ("/src/", "/site-packages/", "/lib/python3"):
        if root in place:
            place = place.split(root, 1)[1]
            break
    return f"{place.removeprefix('auto_insurance/')}:{code.co_qualname}"


def main() -> None:
    """Run the command under the sampler."""
    file = Path(sys.argv[1])
    sys.argv = ["auto-insurance", *sys.argv[2:]]
    from auto_insurance.entrypoints.cli.main import main as command  # noqa: PLC0415 - after the arguments are ours

    sampler = Sampler()
    sampler.start()
    started = time.monotonic()
    try:
        command()
    finally:
        sampler.write(file)
        print(f"sampled for {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
