"""``python -m benchmarks.profiled FILE COMMAND...``: run a command of the product under a sampler; stacks go to FILE.

A thread looks at the main thread 200 times a second from the moment on in which its event loop runs. What it sees is
where the interpreter is; C code counts for the line that called it. Other threads are told of by their processor time.
For benchmarks only: the product itself has no such thread.
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
LOOP = ("asyncio/runners.py", "asyncio/base_events.py", "uvloop/__init__.py")
"""Files whose frame on top means that the event loop itself runs: it waits for something."""


class Sampler(threading.Thread):
    """Counts, per function, on how many samples it was on top and on how many it was anywhere in the stack."""

    def __init__(self) -> None:
        super().__init__(name="sampler", daemon=True)
        self.own: Counter[str] = Counter()
        self.under: Counter[str] = Counter()
        self.samples = self.waiting = 0
        self.cpu_s: dict[str, float] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        """Sample until told to end."""
        main = threading.main_thread().ident
        number = 0
        while not self.ended.wait(INTERVAL_S):
            frame = sys._current_frames().get(main or 0)
            if frame is not None:
                self._note(frame)
            number += 1
            if number % 100 == 0:
                self._read_clocks()

    def _note(self, frame: FrameType) -> None:
        stack = []
        walk: FrameType | None = frame
        while walk is not None:
            stack.append(walk)
            walk = walk.f_back
        if not any(_in(one, LOOP) for one in stack):
            return
        self.samples += 1
        if _in(frame, LOOP):
            self.waiting += 1
            return
        self.own[f"{_name(frame)}:{frame.f_lineno}"] += 1
        self.under.update({_name(one) for one in stack})

    def _read_clocks(self) -> None:
        """Note the processor time of each thread that Python knows."""
        for thread in threading.enumerate():
            if thread.ident is None or not hasattr(time, "pthread_getcpuclockid"):
                continue
            try:
                self.cpu_s[thread.name] = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            except OSError:
                continue

    def write(self, file: Path) -> None:
        """Write what was seen."""
        self.ended.set()
        self.join()
        found = {
            "samples": self.samples,
            "waiting": self.waiting,
            "threads_cpu_s": {name: round(used, 2) for name, used in self.cpu_s.items()},
            "own": self.own.most_common(60),
            "under": self.under.most_common(120),
        }
        file.write_text(json.dumps(found))


def _in(frame: FrameType, files: tuple[str, ...]) -> bool:
    return frame.f_code.co_filename.endswith(files)


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
    try:
        command()
    finally:
        sampler.write(file)


if __name__ == "__main__":
    main()
