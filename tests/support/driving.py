"""Drives in the form of the API, and the trips that one sorted pass makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from auto_insurance.kernel.clock import from_us
from auto_insurance.telematics.schemas import Sample
from auto_insurance.telematics.validate import normalise_json
from auto_insurance.trips.contents import content_hash
from tests.support.trips import Drive, kept

Event = dict[str, Any]


def event_of(sample: Sample) -> Event:
    """Return a sample as a device sends it."""
    return {
        "device_id": sample.device_id,
        "event_id": sample.event_id,
        "timestamp": from_us(sample.t_us).isoformat(),
        "latitude": sample.latitude,
        "longitude": sample.longitude,
        "speed": sample.speed_mph,
        "gps_accuracy": sample.gps_accuracy_m,
        "event_type": str(sample.event_type),
    }


def day_out(device_id: str, start_us: int, number: int = 0, *, leg_s: int = 240) -> list[Event]:
    """Return two legs with a long stop between them and a gap in the second: two trips of a device, 1 Hz."""
    drive = Drive(device_id=device_id, t_us=start_us, lat=41.0 + number / 100, course=10.0 * number)
    drive.go(14.0 + number % 5, leg_s).stand(240).go(20.0, leg_s // 2).wait(40).go(20.0, leg_s // 2).stand(30)
    return [event_of(sample) for sample in drive.samples]


def sample_of(event: Mapping[str, Any], driver_id: str) -> Sample:
    """Return an event as the server stores it."""
    _, sample = normalise_json(event, received_us=0, now_us=4_000_000_000_000_000, any_age=True)
    assert isinstance(sample, Sample), sample
    return msgspec.structs.replace(sample, driver_id=driver_id)


def key_of(event: Mapping[str, Any]) -> tuple[str, int, str]:
    """Return the identity of an event: device, microseconds, event id."""
    sample = sample_of(event, "")
    return sample.device_id, sample.t_us, sample.event_id


def expected_contents(events: Iterable[Mapping[str, Any]], driver_id: str, zone: str) -> list[bytes]:
    """Return the content hashes of the trips that one sorted pass over the events of a device makes."""
    samples = [sample_of(event, driver_id) for event in events]
    return [content_hash(trip) for trip in kept(samples, zones={driver_id: zone})]


def chunks(events: Sequence[Event], size: int) -> list[list[Event]]:
    """Cut into uploads."""
    return [list(events[start : start + size]) for start in range(0, len(events), size)]
