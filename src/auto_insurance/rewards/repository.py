"""All SQL of rewards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from sqlalchemy import and_, delete, func, insert, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.rewards.models import reward_entries, reward_redemptions, reward_trips
from auto_insurance.rewards.rules import SMOOTH_FROM, Award, Day, Kind, RewardTrip, Totals

LOCK_SPACE = "rewards:"
"""Advisory locks of this domain; a hash that meets another's only makes somebody wait."""
_TRIP = RewardTrip.__struct_fields__


class EntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as stored; see ``models.reward_entries``."""

    entry_id: UUID
    driver_id: str
    seq: int
    kind: str
    key: str
    points: int
    balance: int
    season: int | None
    local_date: date | None
    trip_id: UUID | None
    is_correction: bool
    reason: str
    rules_version: str
    created_at: datetime


class RedemptionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A redemption as stored; see ``models.reward_redemptions``."""

    redemption_id: UUID
    driver_id: str
    points: int
    amount: Decimal
    currency: str
    policy_id: str
    redeemed_at: datetime
    redeemed_by: UUID


class StoredTrip(msgspec.Struct, frozen=True):
    """Where a trip was counted last."""

    driver_id: str
    local_date: date
    revision: int


async def lock_driver(uow: UnitOfWork, driver_id: str) -> None:
    """Let nobody else change this driver's points until the transaction ends."""
    await uow.conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(LOCK_SPACE + driver_id, 0))))


async def stored_trip(uow: UnitOfWork, trip_id: UUID) -> StoredTrip | None:
    """Return where a trip is counted, None if it is not."""
    c = reward_trips.c
    row = (await uow.conn.execute(select(c.driver_id, c.local_date, c.revision).where(c.trip_id == trip_id))).first()
    return None if row is None else StoredTrip(*row)


async def put_trip(uow: UnitOfWork, driver_id: str, trip: RewardTrip, revision: int) -> None:
    """Keep a trip as it is now."""
    values = {
        **msgspec.structs.asdict(trip), "driver_id": driver_id, "season": trip.season, "revision": revision,
    }  # fmt: skip
    new = upsert(reward_trips).values(values)
    changed = {name: new.excluded[name] for name in values if name != "trip_id"}
    await uow.conn.execute(new.on_conflict_do_update(index_elements=["trip_id"], set_=changed))


async def remove_trip(uow: UnitOfWork, trip_id: UUID) -> None:
    """Count a trip no longer."""
    await uow.conn.execute(delete(reward_trips).where(reward_trips.c.trip_id == trip_id))


async def trips_of_days(uow: UnitOfWork, driver_id: str, days: Collection[date]) -> list[RewardTrip]:
    """Return a driver's trips of some local days."""
    c = reward_trips.c
    query = select(*(c[name] for name in _TRIP)).where(c.driver_id == driver_id, c.local_date.in_(sorted(days)))
    return [RewardTrip(**row) for row in (await uow.conn.execute(query)).mappings()]


async def days_between(uow: UnitOfWork, driver_id: str, first: date, last: date) -> list[Day]:
    """Return a driver's days with driving in [first, last], in order."""
    c = reward_trips.c
    query = (
        select(c.local_date, func.sum(c.harsh_events))
        .where(c.driver_id == driver_id, c.local_date.between(first, last))
        .group_by(c.local_date)
        .order_by(c.local_date)
    )
    return [Day(row[0], int(row[1])) for row in await uow.conn.execute(query)]


async def totals(uow: UnitOfWork, driver_id: str) -> Totals:
    """Return the sums over all of a driver's trips that count."""
    c = reward_trips.c
    query = select(
        func.count().label("trips"),
        func.count().filter(c.score >= SMOOTH_FROM).label("smooth_trips"),
        *(
            func.coalesce(func.sum(c[name]), 0).label(name)
            for name in ("milli_miles", "phone_free_milli", "limit_milli")
        ),
    ).where(c.driver_id == driver_id)
    row = (await uow.conn.execute(query)).mappings().one()
    return Totals(**{name: int(value) for name, value in row.items()})


async def booked(uow: UnitOfWork, driver_id: str, days: Collection[date], seasons: Collection[int]) -> dict[str, Award]:
    """Return by key what is booked for trips of these days, streaks of these seasons, milestones and achievements."""
    c = reward_entries.c
    wanted = or_(
        and_(c.kind == Kind.TRIP.value, c.local_date.in_(sorted(days))),
        and_(c.kind == Kind.STREAK.value, c.season.in_(sorted(seasons))),
        c.kind.in_([Kind.MILESTONE.value, Kind.ACHIEVEMENT.value]),
    )
    query = (
        select(
            c.key,
            func.min(c.kind).label("kind"),
            func.sum(c.points).label("points"),
            func.min(c.season).label("season"),
            func.min(c.local_date).label("local_date"),
            # There is no least uuid; all entries of a key have the same.
            func.array_agg(c.trip_id)[1].label("trip_id"),
        )
        .where(c.driver_id == driver_id, wanted)
        .group_by(c.key)
    )
    rows = (await uow.conn.execute(query)).mappings()
    return {row["key"]: Award(**{**row, "kind": Kind(row["kind"]), "points": int(row["points"])}) for row in rows}


async def last_entry(uow: UnitOfWork, driver_id: str) -> tuple[int, int]:
    """Return the number of a driver's last entry and the balance after it; (0, 0) before the first."""
    c = reward_entries.c
    query = select(c.seq, c.balance).where(c.driver_id == driver_id).order_by(c.seq.desc()).limit(1)
    row = (await uow.conn.execute(query)).one_or_none()
    return (0, 0) if row is None else (row[0], row[1])


async def add_entries(uow: UnitOfWork, rows: Sequence[EntryRow]) -> None:
    """Insert entries; under :func:`lock_driver`."""
    if rows:
        await uow.conn.execute(insert(reward_entries), [msgspec.structs.asdict(row) for row in rows])


async def list_entries(uow: UnitOfWork, driver_id: str, *, limit: int, offset: int) -> tuple[list[EntryRow], int]:
    """Return a page of a driver's entries, the newest first, and how many there are: the last one's number."""
    c = reward_entries.c
    total, _ = await last_entry(uow, driver_id)
    query = select(reward_entries).where(
        c.driver_id == driver_id, c.seq <= total - offset, c.seq > total - offset - limit
    )
    rows = (await uow.conn.execute(query.order_by(c.seq.desc()))).mappings()
    return [EntryRow(**row) for row in rows], total


async def reached(uow: UnitOfWork, driver_id: str, keys: Collection[str]) -> dict[str, datetime]:
    """Return when each of these milestones and achievements was booked as reached, by key; only those that hold."""
    c = reward_entries.c
    goals = [Kind.MILESTONE.value, Kind.ACHIEVEMENT.value]
    query = (
        select(c.key, func.max(c.created_at).filter(c.points > 0))
        .where(c.driver_id == driver_id, c.kind.in_(goals), c.key.in_(sorted(keys)))
        .group_by(c.key)
        .having(func.sum(c.points) > 0)
    )
    return {row[0]: row[1] for row in await uow.conn.execute(query)}


async def sums_by_kind(uow: UnitOfWork, driver_id: str) -> dict[str, int]:
    """Return the sum of a driver's points by kind."""
    c = reward_entries.c
    query = select(c.kind, func.sum(c.points)).where(c.driver_id == driver_id).group_by(c.kind)
    return {row[0]: int(row[1]) for row in await uow.conn.execute(query)}


async def add_redemption(uow: UnitOfWork, row: RedemptionRow) -> None:
    """Insert a redemption."""
    await uow.conn.execute(insert(reward_redemptions).values(msgspec.structs.asdict(row)))
