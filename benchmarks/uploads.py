"""Uploads as devices send them: pre-encoded bytes, some sent twice, some late and out of order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

from benchmarks.fleet import KINDS, NORMAL, Fleet, Span, device_name

DUPLICATES = 0.05
LATE = 0.02
LAST = "L"
"""The last letter of an event's id when it is the newest of its upload; others have ``N``."""
_SPEED = [f"{tenths / 10:g}" for tenths in range(2000)]
_KIND = ["" if code == NORMAL else f',"event_type":"{name}"' for code, name in enumerate(KINDS)]


class Upload(NamedTuple):
    """One upload. ``fresh``: how many of its events no earlier upload held."""

    device: int
    value: bytes
    """A JSON array of events: the value of a record."""
    events: int
    fresh: int
    sent_us: int
    """When it is sent: at once when its newest event is measured, later if it is late or a repetition."""

    @property
    def body(self) -> bytes:
        """The body of the request."""
        return b'{"events":' + self.value + b"}"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is sent: ``seconds`` of ``devices`` in uploads of ``per_upload`` events each."""

    devices: int
    per_upload: int
    seconds: int
    start_s: int
    duplicates: float = DUPLICATES
    late: float = LATE
    seed: int = 1
    first: int = 0
    """Number of the first device."""

    @property
    def events(self) -> int:
        """How many distinct events there are."""
        return self.devices * self.seconds

    def fleet(self) -> Fleet:
        """Return the fleet at its start."""
        return Fleet(self.devices, self.start_s, first=self.first, stagger_s=self.per_upload, seed=self.seed)


def traffic(events: int, devices: int, per_upload: int, end_s: int) -> Traffic:
    """Return traffic of about so many events, whole uploads of every device, that ends at ``end_s`` at the latest."""
    rounds = max(1, round(events / devices / per_upload))
    seconds = rounds * per_upload
    return Traffic(devices, per_upload, seconds, end_s - 3 * per_upload - seconds)


def encode(span: Span, fleet: Fleet, per_upload: int) -> Iterator[Upload]:
    """Yield the uploads of a stretch, those that are sent first first."""
    rounds = span.second.shape[1] // per_upload
    order = np.lexsort((span.phase_ms[:, 0], span.second[:, 0])).tolist()
    numbers: list[int] = fleet.number[:, 0].tolist()
    sensor: list[bool] = fleet.sensor[:, 0].tolist()
    prefixes = [f'{{"device_id":"{device_name(number)}","timestamp":' for number in numbers]
    tenths = np.rint(span.speed_mph * 10).astype(np.int64)
    phases = span.phase_ms[:, 0].tolist()
    flags = ["N"] * (per_upload - 1) + [LAST]
    for turn in range(rounds):
        at = slice(turn * per_upload, (turn + 1) * per_upload)
        seconds = span.second[:, at].tolist()
        columns = [
            values[:, at].tolist()
            for values in (span.latitude, span.longitude, tenths, span.heading, span.accuracy, span.kind)
        ]
        sensed = [values[:, at].tolist() for values in (span.accel_g, span.lateral_g)]
        for d in order:
            own, prefix, phase = f"{numbers[d]:05x}", prefixes[d], f"{phases[d]:03d}"
            texts = [
                f'{prefix}{s}{phase},"event_id":"{own}{s:x}{flag}","latitude":{lat},"longitude":{lon},'
                f'"speed":{_SPEED[v]},"heading":{h},"gps_accuracy":{acc}{_KIND[kind]}'
                for s, flag, lat, lon, v, h, acc, kind in zip(
                    seconds[d], flags, *[column[d] for column in columns], strict=True
                )
            ]
            if sensor[d]:
                pairs = zip(texts, sensed[0][d], sensed[1][d], strict=True)
                texts = [f'{text},"acceleration":{a},"lateral_acceleration":{b}' for text, a, b in pairs]
            newest_us = (seconds[d][-1] * 1000 + phases[d]) * 1000
            yield Upload(numbers[d], f"[{'},'.join(texts)}}}]".encode(), per_upload, per_upload, newest_us)


def stream(plan: Traffic) -> Iterator[Upload]:
    """Yield uploads in the order of arrival: a late one comes after the device's next, a copy after its original."""
    fleet = plan.fleet()
    rng = np.random.default_rng(plan.seed + 1)
    waiting: list[tuple[float, int, Upload]] = []
    number = 0
    left = plan.seconds
    step = max(plan.per_upload, 60 // plan.per_upload * plan.per_upload)
    while left > 0:
        span = fleet.next(min(step, left))
        left -= step
        uploads = list(encode(span, fleet, plan.per_upload))
        late, again = rng.random((2, len(uploads)))
        delay = rng.uniform(1.1, 2.0, len(uploads))
        for upload, is_late, twice, rounds in zip(uploads, late, again, delay.tolist(), strict=True):
            at = float(number)
            number += 1
            sent = upload
            if is_late < plan.late:
                at += rounds * plan.devices
                sent = upload._replace(sent_us=upload.sent_us + int(rounds * plan.per_upload * 1e6))
            heappush(waiting, (at, 2 * number, sent))
            if twice < plan.duplicates:
                copied = sent._replace(fresh=0, sent_us=sent.sent_us + int(0.5 * rounds * plan.per_upload * 1e6))
                heappush(waiting, (at + 0.5 * rounds * plan.devices, 2 * number + 1, copied))
        while waiting and (waiting[0][0] < number or left <= 0):
            yield heappop(waiting)[2]
