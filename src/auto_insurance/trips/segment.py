"""Cuts a device's samples into trips. Pure: a fold over samples in order of (t_us, event_id).

The rules with their reasons are written down in docs/concepts/trips.md. The state is all that the fold remembers; saved
and restored between any two samples it gives the same trips, bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from auto_insurance.kernel.units import MS_PER_MPH
from auto_insurance.telematics.schemas import EventType, Quality, Sample
from auto_insurance.trips import aggregate
from auto_insurance.trips.aggregate import OpenTrip, Times, TripContent
from auto_insurance.trips.detect import PHONE, SPEEDING, Detector, new_senses, note_assertion, over_class
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.state import DeviceState, reset_session
from auto_insurance.trips.track import MOVING, REANCHORED, UNUSABLE, Tracker, flat_m

END_STANDSTILL, END_IGNITION, END_SILENCE, END_DRIVER = "standstill", "ignition_off", "silence", "driver_change"
_IGNITION_OFF = str(EventType.IGNITION_OFF)
_NORMAL = str(EventType.NORMAL)
_NO_PLACE = int(Quality.NO_POSITION | Quality.NULL_ISLAND | Quality.LOW_ACCURACY)


class Closed(msgspec.Struct, frozen=True):
    """A trip that ended. ``kept`` is false if it was too short to count; ``ref`` is the caller's own."""

    content: TripContent
    kept: bool
    ref: bytes | None


class Folded(msgspec.Struct):
    """What samples led to: closed trips in order, and samples whose place can't be reached at 160 mph."""

    closed: list[Closed]
    flagged: list[Sample]


class Segmenter:
    """Folds samples into a device's state. One instance serves all devices; it keeps nothing itself."""

    def __init__(self, rules: TripRules | None = None) -> None:
        self.rules = rules = rules or TripRules()
        self._detector = Detector(rules)
        self._tracker = Tracker(rules)
        self._session_us = rules.session_gap_us
        self._gap_us = round(rules.gap_s * 1e6)
        self._still = rules.still_speed_ms
        self._max_mph = rules.max_speed_mph
        self._start_ms = rules.start_speed_mph * MS_PER_MPH
        self._start_run_us = round(rules.start_speed_s * 1e6)
        self._min_us = round(rules.min_duration_s * 1e6)
        self._end_us = round(rules.end_still_s * 1e6)

    def advance(self, state: DeviceState, samples: Iterable[Sample], zones: Mapping[str, str]) -> Folded:
        """Fold samples, in order and not before the state's last one, into ``state`` (changed in place).

        ``zones`` gives the time zone of each driver; UTC where it does not. Raises ``ValueError`` for a sample that
        comes before the last one: the caller folds the session anew then.
        """
        out = Folded([], [])
        for sample in samples:
            last = state.last_us
            if sample.t_us < last:
                raise ValueError("samples must come in order")
            if last < 0 or sample.driver_id != state.driver_id or sample.t_us - last >= self._session_us:
                self._begin_session(state, sample, zones, out)
            if sample.t_us == state.last_us:
                self._again(state, sample, out)
            else:
                self._take(state, sample, out)
        return out

    def close_silent(self, state: DeviceState) -> Closed | None:
        """End the session because nothing more came; None if no confirmed trip was open. The state stays for good."""
        closed = self._cut(state, END_SILENCE)
        state.silent = True
        return closed

    def preview(self, state: DeviceState) -> TripContent | None:
        """Return the open trip, if it is confirmed, as it stands."""
        trip = state.trip
        if trip is None or not trip.confirmed:
            return None
        return self._content(state, trip, (trip.moved_us, trip.moved_lat, trip.moved_lon), None)

    def _begin_session(self, state: DeviceState, sample: Sample, zones: Mapping[str, str], out: Folded) -> None:
        """Start anew after silence or with another driver; nothing of before has a say in what follows."""
        silent = state.last_us >= 0 and sample.t_us - state.last_us >= self._session_us
        closed = self._cut(state, END_SILENCE if silent else END_DRIVER)
        if closed is not None:
            out.closed.append(closed)
        state.device_id = sample.device_id
        reset_session(state, sample.driver_id, zones.get(sample.driver_id, "UTC"))

    def _take(self, state: DeviceState, s: Sample, out: Folded) -> None:
        """Fold one sample with a new instant."""
        t_us = s.t_us
        first = state.last_us < 0
        dt_us = 0 if first else t_us - state.last_us
        mph = s.speed_mph
        speed = mph * MS_PER_MPH if mph is not None and mph <= self._max_mph else -1.0
        start_us, start_lat, start_lon = state.anchor_us, state.anchor_lat, state.anchor_lon
        verdict, metres, gap, flagged = UNUSABLE, 0.0, False, True
        if not s.quality & _NO_PLACE and s.latitude is not None and s.longitude is not None:
            verdict, metres, gap = self._tracker.locate(
                state, t_us, s.latitude, s.longitude, speed, s.gps_accuracy_m or 0.0
            )
            flagged = verdict == UNUSABLE
            if flagged:
                out.flagged.append(s)
        moving = self._is_moving(state, verdict, speed, t_us)
        trip = state.trip
        if trip is None:
            if moving and verdict == MOVING:
                trip = self._begin(state, s, (start_us, start_lat, start_lon), metres, speed, gap)
        else:
            self._interval(state, trip, s, dt_us, metres, gap, flagged)
            if metres:
                self._way(state, trip, metres, start_us, t_us, speed, gap)
        self._remember(state, s, speed, moving)
        if trip is not None:
            self._detector.sense(trip.senses, s, speed, dt_us)
            if mph is not None and speed >= 0.0 and mph > trip.max_speed_mph:
                trip.max_speed_mph = mph
            if s.event_type != _NORMAL:
                note_assertion(trip.senses, s)
            self._decide(state, trip, s, verdict, metres > 0.0 and speed > self._start_ms, out)

    def _is_moving(self, state: DeviceState, verdict: int, speed: float, t_us: int) -> bool:
        """Tell whether the device moves as of this sample, from its place or else from its speed."""
        if verdict >= 0 and verdict != REANCHORED:
            return verdict == MOVING
        if speed >= 0.0:
            return speed >= self._still
        return state.moving and 0 <= t_us - state.good_us <= self._gap_us

    def _begin(
        self, state: DeviceState, s: Sample, anchor: tuple[int, float, float], metres: float, speed: float, gap: bool
    ) -> OpenTrip:
        """Begin a trip at this sample or, if a whole step lies before it, at the step's beginning."""
        now = (s.t_us, state.good_lat, state.good_lon)
        t_us, lat, lon = anchor if metres else now
        trip = OpenTrip(t_us, lat, lon, *now, t_us, lat, lon, Times(samples=1), Times(), new_senses())
        aggregate.enter_slot(trip, state.zone, t_us)
        if metres:
            over, phone = (-1, -1) if gap else (state.over, state.phone)
            aggregate.spend(trip, state.zone, t_us, s.t_us, moving=True, over=over, phone=phone, flagged=False, gap=gap)
            self._way(state, trip, metres, t_us, s.t_us, speed, gap)
        state.trip = trip
        return trip

    def _interval(
        self, state: DeviceState, trip: OpenTrip, s: Sample, dt_us: int, metres: float, gap: bool, flagged: bool
    ) -> None:
        """Account for the time since the sample before: its values held until now, unless that is too long."""
        long = dt_us > self._gap_us
        moving = metres > 0.0 if long else state.moving
        over, phone = (-1, -1) if long else (state.over, state.phone)
        if long:
            trip.fast_us = -1
        aggregate.spend(
            trip, state.zone, state.last_us, s.t_us, moving=moving, over=over, phone=phone, flagged=flagged, gap=gap
        )
        if moving:
            trip.moved_us, trip.moved_lat, trip.moved_lon = s.t_us, state.good_lat, state.good_lon
        self._detector.episode(trip.senses, SPEEDING, over > 0, s, dt_us, state.over_mph)
        mph = state.speed / MS_PER_MPH if state.speed >= 0.0 else 0.0
        self._detector.episode(trip.senses, PHONE, phone > 0, s, dt_us, mph)

    def _way(
        self, state: DeviceState, trip: OpenTrip, metres: float, from_us: int, t_us: int, speed: float, gap: bool
    ) -> None:
        """Account for a step or a bridged gap."""
        if gap:
            trip.gap_m += metres
        mean = aggregate.band_mph(metres, t_us - from_us)
        mph = mean if gap or speed < 0.0 else speed / MS_PER_MPH
        over, phone = (-1, -1) if gap else (state.over, state.phone)
        aggregate.travel(trip, state.zone, metres, from_us, t_us, mph=mph, over=over, phone=phone)

    def _remember(self, state: DeviceState, s: Sample, speed: float, moving: bool) -> None:
        """Hold the sample's values until the next one."""
        state.last_us = s.t_us
        state.speed = speed
        state.moving = moving
        limit = s.speed_limit_mph
        if limit is None or speed < 0.0:
            state.over = -1
        else:
            state.over = over_class(s.speed_mph, limit)
            state.over_mph = (s.speed_mph or 0.0) - limit
        phone = s.phone_in_use
        state.phone = -1 if phone is None else int(phone)

    def _decide(self, state: DeviceState, trip: OpenTrip, s: Sample, verdict: int, driven: bool, out: Folded) -> None:
        """Confirm, end or forget the open trip as of this sample. ``driven``: a step at more than 5 mph just ended."""
        t_us = s.t_us
        if verdict == REANCHORED:
            trip.place_us, trip.place_lat, trip.place_lon = t_us, state.good_lat, state.good_lon
            if not trip.confirmed:
                state.trip = None
                return
        elif verdict != UNUSABLE and (driven or self._left(state, trip)):
            trip.place_us, trip.place_lat, trip.place_lon = t_us, state.good_lat, state.good_lon
        if s.event_type == _IGNITION_OFF:
            self._append(out, self._cut(state, END_IGNITION))
            return
        patience_us = self._session_us if trip.confirmed and self._is_short(trip) else self._end_us
        if t_us - min(trip.place_us, trip.moved_us) >= patience_us:
            self._append(out, self._rest(state, trip))
        elif not trip.confirmed:
            self._confirm(state, trip, t_us)

    def _left(self, state: DeviceState, trip: OpenTrip) -> bool:
        """Tell whether the device is more than 200 m from the place where its stay began."""
        return flat_m(trip.place_lat, trip.place_lon, state.good_lat, state.good_lon) > self.rules.end_radius_m

    def _confirm(self, state: DeviceState, trip: OpenTrip, t_us: int) -> None:
        """Confirm a beginning: more than 200 m away from its start, or faster than 5 mph for 30 s."""
        if state.speed > self._start_ms:
            if trip.fast_us < 0:
                trip.fast_us = t_us
        else:
            trip.fast_us = -1
        away = flat_m(trip.start_lat, trip.start_lon, state.good_lat, state.good_lon)
        fast = trip.fast_us >= 0 and t_us - trip.fast_us >= self._start_run_us
        trip.confirmed = fast or away > self.rules.start_distance_m

    def _again(self, state: DeviceState, s: Sample, out: Folded) -> None:
        """Take in another sample of the same instant: only what it asserts counts."""
        if state.trip is None:
            return
        if s.event_type != _NORMAL:
            note_assertion(state.trip.senses, s)
        if s.event_type == _IGNITION_OFF:
            self._append(out, self._cut(state, END_IGNITION))

    def _rest(self, state: DeviceState, trip: OpenTrip) -> Closed | None:
        """End at standstill: the trip ended when the car last moved, what came after is not part of it."""
        state.trip = None
        if not trip.confirmed:
            return None
        end = (trip.moved_us, trip.moved_lat, trip.moved_lon)
        return self._keep(trip, self._content(state, trip, end, END_STANDSTILL))

    def _cut(self, state: DeviceState, reason: str) -> Closed | None:
        """End at the last sample: the device went off, fell silent or changed hands."""
        trip, state.trip = state.trip, None
        if trip is None or not trip.confirmed:
            return None
        aggregate.join_tail(trip)
        end = (state.last_us, state.good_lat, state.good_lon)
        return self._keep(trip, self._content(state, trip, end, reason))

    def _content(
        self, state: DeviceState, trip: OpenTrip, end: tuple[int, float, float], reason: str | None
    ) -> TripContent:
        return aggregate.content(
            trip, self.rules, driver_id=state.driver_id, device_id=state.device_id, zone=state.zone, end=end,
            reason=reason,
        )  # fmt: skip

    def _is_short(self, trip: OpenTrip) -> bool:
        """Tell whether this is shorter than 500 m and, to its last movement, than 300 s: not a trip (yet)."""
        return trip.metres < self.rules.min_distance_m and trip.moved_us - trip.start_us < self._min_us

    def _keep(self, trip: OpenTrip, content: TripContent) -> Closed:
        return Closed(content, not self._is_short(trip), trip.ref)

    @staticmethod
    def _append(out: Folded, closed: Closed | None) -> None:
        if closed is not None:
            out.closed.append(closed)
