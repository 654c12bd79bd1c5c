"""Which traced upload of a device its trips belong to: the newest that this consumer saw."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from auto_insurance.infra import tracing
from auto_insurance.infra.bus.protocol import Record
from auto_insurance.telematics.service import HEADER_TRACEPARENT

MAX_DEVICES = 1000
MAX_AGE_S = 3600.0
"""A trip that ends later than this after its last traced upload is in no trace."""


class TracedUploads:
    """Remembers traces by device. With tracing off, or without traced records, it does nothing."""

    def __init__(self) -> None:
        self._recent: OrderedDict[str, tuple[float, str]] = OrderedDict()

    @contextmanager
    def handling(self, records: Sequence[Record]) -> Iterator[None]:
        """Trace the handling of a batch: one span for each device with a traced upload in it."""
        if not tracing.is_on():
            yield
            return
        found = {r.key: r.headers[HEADER_TRACEPARENT] for r in records if HEADER_TRACEPARENT in r.headers}
        for device_id, trace in found.items():
            self._recent[device_id] = (time.monotonic(), trace)
            self._recent.move_to_end(device_id)
        while len(self._recent) > MAX_DEVICES:
            self._recent.popitem(last=False)
        with tracing.keyed(self._young()), tracing.spans("process upload", found):
            yield

    @contextmanager
    def recalled(self) -> Iterator[None]:
        """Do what follows from earlier uploads in their traces."""
        if not tracing.is_on():
            yield
            return
        with tracing.keyed(self._young()):
            yield

    def _young(self) -> dict[str, str]:
        since = time.monotonic() - MAX_AGE_S
        return {device_id: trace for device_id, (at, trace) in self._recent.items() if at >= since}
