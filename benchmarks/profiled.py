"""``python -m benchmarks.profiled FILE COMMAND...``: run a command of the product under a sampler; stacks go to FILE.

The kernel interrupts after every 5 ms of processor time, and the main thread notes where it is; waiting is not seen.
(A thread that samples others would see them mostly where they let go of the interpreter's lock.) C code counts for the
line that called it. For benchmarks only: the product itself has no such timer.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_S = 0.005
LOOP = ("asyncio/runners.py", "asyncio/base_events.py", "uvloop/__init__.py")
"""Files of the event loop: before one of them is in the stack the process still starts."""


class Sampler:
    """Counts, per function, on how many samples it was on top and on how many it was anywhere in the stack."""

    def __init__(self) -> None:
        self.own: Counter[str] = Counter()
        self.under: Counter[str] = Counter()
        self.samples = 0
        self.started = time.monotonic()

    def start(self) -> None:
        """Begin."""
        signal.signal(signal.SIGPROF, self._note)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def _note(self, _: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            stack.append(frame)
            frame = frame.f_back
        if not any(_in(one, LOOP) for one in stack):
            return
        self.samples += 1
        self.own[f"{_name(stack[0])}:{stack[0].f_lineno}"] += 1
        self.under.update({_name(one) for one in stack})

    def write(self, file: Path) -> None:
        """End, and write what was seen."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        clocks = {}
        for thread in threading.enumerate():
            if thread.ident is not None and hasattr(time, "pthread_getcpuclockid"):
                clocks[thread.name] = round(time.clock_gettime(time.pthread_getcpuclockid(thread.ident)), 2)
        found = {
            "samples": self.samples,
            "seconds": round(time.monotonic() - self.started, 1),
            "process_cpu_s": round(time.process_time(), 2),
            "threads_cpu_s": clocks,
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
