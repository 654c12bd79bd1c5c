"""Cuts events into trips again, apart from what is stored of trips: to replay what was made of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np

from auto_insurance.kernel.clock import from_us, to_us
from auto_insurance.telematics.columns import Columns
from auto_insurance.trips.contents import Closed, TripContent
from auto_insurance.trips.fold import Folder, groups_of, warm
from auto_insurance.trips.rules import TripRules
from auto_insurance.trips.schemas import TripSums, TripTotals
from auto_insurance.trips.segment import END_SILENCE
from auto_insurance.trips.table import DeviceTable

WORTH_COMPILING = 20_000
"""Events from which on compiled rules are worth the seconds that loading them takes."""


class Refolder:
    """Folds events, page after page in order of time, with the rules that trips are made by."""

    def __init__(self, zones: Mapping[str, str], rules: TripRules | None = None) -> None:
        rules = rules or TripRules()
        self._zones = zones
        self._table = DeviceTable(rules)
        self._folder = Folder(self._table, rules)
        self._closed: list[Closed] = []
        self._slots: list[int] = []

    def add(self, events: Columns) -> None:
        """Go on with events that are later than all before of their devices, in any order among themselves."""
        if not len(events):
            return
        if len(events) > WORTH_COMPILING:
            warm()
        groups = groups_of(events)
        devices = [events.devices[code] for code in groups.codes.tolist()]
        for device_id in devices:
            if device_id not in self._table.slot_of:
                self._slots.append(self._table.add(device_id))
        slots = self._table.slots(devices)
        self._closed += self._folder.fold(events, groups, slots, self._zones)[0]

    def trips(self) -> list[TripContent]:
        """Return the trips so far, too short ones left out; one that is open ends with its last event."""
        last = self._folder.view(np.array(self._slots, np.int64), END_SILENCE)
        return [one.content for one in [*self._closed, *last] if one.kept]


def totals_of(
    driver_id: str, trips: Iterable[TripContent], since: datetime, until: datetime, ended_by: datetime
) -> TripTotals:
    """Return the sums over a driver's trips that started in [since, until) and were over by ``ended_by``."""
    from_us_, to_us_, end_us = to_us(since), to_us(until), to_us(ended_by)
    mine = [t for t in trips if t.driver_id == driver_id and from_us_ <= t.start_us < to_us_ and t.end_us <= end_us]
    sums: dict[str, Any] = {name: sum(getattr(t, name) for t in mine) for name in TripSums.__struct_fields__}
    return TripTotals(
        driver_id=driver_id,
        trip_count=len(mine),
        max_speed_mph=max((t.max_speed_mph for t in mine), default=0.0),
        first_start=from_us(min(t.start_us for t in mine)) if mine else None,
        last_end=from_us(max(t.end_us for t in mine)) if mine else None,
        **sums,
    )
