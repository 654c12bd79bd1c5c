"""Latest feature vectors that are kept with their watermarks, as bytes beside the answers about a driver."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import msgspec

from auto_insurance.infra.cache.entries import Entry
from auto_insurance.infra.cache.keys import CacheKey, Place
from auto_insurance.infra.cache.tiered import Found, ReadCache
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.risk.features import FEATURES_VERSION, FeatureValues
from auto_insurance.risk.schemas import ScoreBasis
from auto_insurance.trips.schemas import TripsSeen, TripTotals

AT_ONCE = 100
"""For more drivers than this one pass over their trips is made without looking."""


class Watermark(msgspec.Struct, frozen=True, array_like=True):
    """How far a vector goes: the day that facts are of, the cut-off, and which trips in which revisions it holds."""

    day: date
    cut_off: datetime
    seen: TripsSeen


class Vector(msgspec.Struct, frozen=True, array_like=True):
    """A driver's latest features with the sums that they are of; ``known`` are those of the driver's facts."""

    basis: ScoreBasis
    totals: TripTotals
    known: FeatureValues
    values: FeatureValues
    mark: Watermark


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Vector).decode


@dataclass(frozen=True, slots=True)
class LookedFor:
    """What a look brought, and what another vector may be kept under."""

    vectors: Mapping[str, Vector] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    found: Found = field(default_factory=Found)


class Vectors:
    """Keeps vectors; those of a process that does not hear of changes are neither kept nor believed."""

    def __init__(self, cache: ReadCache, key: CacheKey, window_days: int) -> None:
        self._cache = cache
        self._key = key
        self._variant = f"{FEATURES_VERSION}@{window_days}"

    def place(self, driver_id: str) -> Place:
        """Return where a driver's vector of today is kept."""
        return self._key.place(driver_id, self._variant)

    async def look(self, uow: UnitOfWork, driver_ids: Collection[str]) -> LookedFor:
        """Look for vectors, before any row is read for others. Whose facts this transaction changed has none."""
        if len(driver_ids) > AT_ONCE:
            return LookedFor()
        places = {driver_id: self.place(driver_id) for driver_id in driver_ids}
        places = {d: place for d, place in places.items() if uow.marks.isdisjoint(place.marks)}
        found = await self._cache.find(list(places.values()))
        vectors = {d: vector for d, place in places.items() if (vector := _vector(found.entries.get(place)))}
        return LookedFor(vectors, places, found)

    async def keep(self, looked: LookedFor, made: Mapping[str, Vector]) -> None:
        """Keep what was made after a look."""
        places = looked.places
        bodies = {places[driver_id]: encode(vector) for driver_id, vector in made.items() if driver_id in places}
        await self._cache.keep(looked.found, bodies)


def _vector(entry: Entry | None) -> Vector | None:
    if entry is None:
        return None
    try:
        return _decode(entry.body)
    except msgspec.MsgspecError:
        return None
