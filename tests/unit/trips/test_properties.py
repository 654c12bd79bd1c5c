"""The trips of a device are a function of its set of samples, whatever the order, copies, batches and restarts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.telematics.schemas import Sample
from auto_insurance.trips import aggregate, calendar, detect, segment, track
from auto_insurance.trips.contents import Closed, TripContent, content_hash
from auto_insurance.trips.rules import TripRules
from tests.support.trips import Drive, OneDevice, kept

GAP_US = TripRules().session_gap_us
RULES = (calendar, track, detect, aggregate, segment)
ZONES = {"DRV001": "America/Chicago", "DRV002": "Europe/Berlin"}


class MemoryDevice:
    """A device's samples and trips in memory: extends in order, cuts sessions anew out of order."""

    def __init__(self) -> None:
        self.samples: dict[tuple[int, str], Sample] = {}
        self.trips: list[TripContent] = []
        self.device = OneDevice()

    def receive(self, batch: list[Sample]) -> None:
        fresh = [
            s for s in {(s.t_us, s.event_id): s for s in batch}.values() if (s.t_us, s.event_id) not in self.samples
        ]
        fresh.sort(key=lambda s: (s.t_us, s.event_id))
        self.samples |= {(s.t_us, s.event_id): s for s in fresh}
        if not fresh:
            return
        self.device.restart()
        if fresh[0].t_us <= self.device.state.last_us:
            newest = max(t for t, _ in self.samples)
            done = -1
            for sample in fresh:
                if sample.t_us > done:
                    done = self._recut(sample.t_us, newest)
            return
        self._keep(self.device.advance(fresh, ZONES))

    def _keep(self, closed: list[Closed]) -> None:
        self.trips += [one.content for one in closed if one.kept]

    def _recut(self, t_us: int, newest: int) -> int:
        first, last = self._bounds(t_us)
        self.trips = [trip for trip in self.trips if trip.end_us < first or trip.start_us > last]
        anew = OneDevice()
        self._keep(anew.advance([s for s in self.samples.values() if first <= s.t_us <= last], ZONES))
        if last >= newest:
            self.device = anew
        else:
            self._keep(anew.last())
        return last

    def _bounds(self, t_us: int) -> tuple[int, int]:
        times = sorted({t for t, _ in self.samples})
        at = times.index(t_us)
        first = last = at
        while first > 0 and times[first] - times[first - 1] < GAP_US:
            first -= 1
        while last + 1 < len(times) and times[last + 1] - times[last] < GAP_US:
            last += 1
        return times[first], times[last]

    def result(self) -> list[bytes]:
        self._keep(self.device.last())
        return [content_hash(trip) for trip in sorted(self.trips, key=lambda trip: trip.start_us)]


_part = st.one_of(
    st.tuples(st.just("go"), st.integers(2, 35), st.integers(5, 120)),
    st.tuples(st.just("stand"), st.integers(0, 3), st.sampled_from([10, 60, 170, 185, 320])),
    st.tuples(st.just("gap"), st.just(0), st.sampled_from([20, 45, 300, 599, 600, 4000])),
    st.tuples(st.just("jump"), st.integers(0, 6), st.just(0)),
    st.tuples(st.just("event"), st.sampled_from([0, 1, 2, 3]), st.just(0)),
)


def _drive(parts: list[tuple[str, int, int]], period: float) -> list[Sample]:
    drive = Drive(period_s=period, course=70.0)
    for kind, value, seconds in parts:
        if kind == "go":
            fields = {"speed_limit_mph": 30.0, "phone_in_use": value % 2 == 0} if value % 3 else {}
            drive.go(float(value), seconds, silent_speed=value % 7 == 0, **fields)
        elif kind == "stand":
            drive.stand(seconds, [(0.0, 0.0), (float(value), -float(value)), (-2.0 * value, 1.0)])
        elif kind == "gap":
            drive.wait(seconds).move(5.0 * seconds)
        elif kind == "jump":
            for i in range(value):
                drive.emit(3.0, latitude=drive.lat + 2.0, longitude=drive.lon + i / 1e4).wait(1)
        else:
            said = ("crash", "ignition_off", "harsh_brake", "normal")[value]
            drive.emit(10.0, event_type=said).wait(1)
            if value == 3:
                drive.driver_id = "DRV002"
    return drive.samples


drives = st.builds(_drive, st.lists(_part, min_size=2, max_size=10), st.sampled_from([1.0, 1.0, 5.0]))


@settings(max_examples=40, deadline=None)
@given(drives, st.integers(0, 2**32), st.sampled_from(["any", "near", "blocks"]))
def test_any_order_copies_batches_and_restarts_give_the_trips_of_one_sorted_pass(
    samples: list[Sample], seed: int, order: str
) -> None:
    rng = random.Random(seed)
    sent = samples + rng.sample(samples, k=len(samples) // 5)
    if order == "any":
        rng.shuffle(sent)
    elif order == "near":
        sent.sort(key=lambda s: s.t_us + rng.randint(0, 30_000_000))
    else:
        size = max(1, len(sent) // 6)
        blocks = [sent[i : i + size] for i in range(0, len(sent), size)]
        rng.shuffle(blocks)
        sent = [s for block in blocks for s in block]
    device = MemoryDevice()
    at = 0
    while at < len(sent):
        size = rng.choice([1, 7, 50, 400]) if order != "any" else rng.choice([50, 400])
        device.receive(sent[at : at + size])
        at += size
    want = [content_hash(trip) for trip in kept(samples, zones=ZONES)]
    assert device.result() == want


@settings(max_examples=25, deadline=None)
@given(drives)
def test_a_saved_state_continues_bit_by_bit(samples: list[Sample]) -> None:
    device, trips = OneDevice(), []
    for sample in samples[:150]:
        device.restart()
        trips += device.advance([sample], ZONES)
    trips += device.last()
    want = kept(samples[:150], zones=ZONES)
    assert [closed.content for closed in trips if closed.kept] == want


@settings(max_examples=60, deadline=None)
@given(drives)
def test_the_parts_of_a_trip_add_up(samples: list[Sample]) -> None:
    for trip in kept(samples, zones=ZONES):
        assert abs(trip.moving_s + trip.idle_s - trip.duration_s) < 1e-6
        bands = trip.low_speed_miles + trip.mid_speed_miles + trip.high_speed_miles
        assert abs(bands - trip.distance_miles) < 1e-9
        assert trip.late_night_miles <= trip.night_miles + 1e-9 <= trip.distance_miles + 2e-9
        assert trip.gap_miles <= trip.distance_miles + 1e-9
        assert (
            trip.speeding_20_s <= trip.speeding_10_s <= trip.speeding_s <= trip.speed_limit_known_s <= trip.duration_s
        )
        assert trip.phone_usage_s <= trip.phone_known_s <= trip.duration_s
        assert max(trip.speed_limit_known_miles, trip.phone_known_miles) <= trip.distance_miles + 1e-9
        assert trip.night_s <= trip.duration_s
        bands = trip.speed_standing_s + trip.speed_slow_s + trip.speed_fast_s
        assert bands <= trip.speed_known_s + 1e-6 <= trip.duration_s + 2e-6
        assert trip.speed_very_fast_s <= trip.speed_fast_s
        assert trip.phone_fast_s <= trip.phone_moving_s
        handled = trip.phone_standing_s + trip.phone_moving_s
        assert handled <= min(trip.phone_usage_s, trip.phone_speed_known_s) + 1e-6
        assert trip.phone_speed_known_s <= min(trip.phone_known_s, trip.speed_known_s)
        assert trip.jerky_s <= trip.jerk_known_s <= trip.duration_s
        assert trip.long_drive_s <= trip.moving_s
        if trip.speed_known_s > 0:
            mean = trip.speed_mph_s / trip.speed_known_s
            assert mean <= trip.max_speed_mph + 0.02
            assert trip.speed_mph2_s / trip.speed_known_s - mean * mean >= -1e-2 * max(1.0, mean * mean)
        assert trip.flagged_count <= trip.sample_count
        assert trip.start_us < trip.end_us


@settings(max_examples=60, deadline=None)
@given(drives, st.lists(st.integers(0, 10_000), max_size=6))
def test_the_way_is_never_longer_than_the_path_driven(samples: list[Sample], at: list[int]) -> None:
    """Neither drift nor stray points invent miles: no more than the true path plus the jitter that was put in."""
    for trip in kept(samples, zones=ZONES):
        inside = [s for s in samples if trip.start_us <= s.t_us <= trip.end_us]
        fastest = 36.0 * (trip.end_us - trip.start_us) / 1e6
        assert trip.distance_miles * 1609.344 <= fastest + 20.0
        assert trip.sample_count <= len({s.t_us for s in inside})


@settings(max_examples=8, deadline=None)
@given(drives)
def test_compiled_rules_give_the_bits_that_python_gives(samples: list[Sample]) -> None:
    samples = samples[:400]
    quick = kept(samples, zones=ZONES)
    with pytest.MonkeyPatch.context() as patch:
        for module in RULES:
            for name, value in list(vars(module).items()):
                if hasattr(value, "py_func"):
                    patch.setattr(module, name, value.py_func)
        slow = kept(samples, zones=ZONES)
    assert [content_hash(trip) for trip in slow] == [content_hash(trip) for trip in quick]
