"""Driver cards: what a list of drivers shows of each, in one statement whatever the number of rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, text, true

from auto_insurance.admin.reading import Rows, fetch
from auto_insurance.drivers.models import drivers
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.policies.models import policies
from auto_insurance.pricing.models import premiums
from auto_insurance.risk.models import risk_scores
from auto_insurance.trips.models import trips

BANDS: dict[str, tuple[float, float]] = {"low": (-1.0, 40.0), "medium": (40.0, 70.0), "high": (70.0, 100.0)}
"""Of the risk score: above the first, up to and with the second."""
_WORD = re.compile(r"\w+")
_C = drivers.c


@dataclass(frozen=True, slots=True)
class CardFilter:
    """Which drivers. None or an empty text does not filter."""

    search: str = ""
    band: str | None = None
    """``low``, ``medium``, ``high`` or ``none``: without a score."""
    status: str | None = None
    state: str | None = None
    driver_id: str | None = None


def starting(text_: str) -> str:
    """Return the LIKE pattern of what begins with a text."""
    return "".join(f"\\{one}" if one in "%_\\" else one for one in text_) + "%"


def words_beginning(text_: str) -> str | None:
    """Return the query of a full-text search for words that begin with those of a text; None without any."""
    words = _WORD.findall(text_.lower())
    return " & ".join(f"'{word}':*" for word in words) or None


def _score(driver_id: Any) -> Any:
    s = risk_scores.c
    newest = select(s.risk_score, s.calculated_at).where(s.driver_id == driver_id).order_by(s.calculated_at.desc())
    return newest.limit(1).lateral("score")


def _premium(driver_id: Any) -> Any:
    p = premiums.c
    charged = select(p.monthly_premium, p.currency).where(
        p.driver_id == driver_id, p.kind == "charged", p.effective_date <= clock.now().date()
    )
    return charged.order_by(p.effective_date.desc(), p.version.desc()).limit(1).lateral("premium")


def _last(driver_id: Any) -> Any:
    t = trips.c
    last = select(t.start_time).where(t.driver_id == driver_id, t.status == "completed")
    return last.order_by(t.start_time.desc()).limit(1).lateral("last")


def _sums(driver_id: Any) -> Any:
    t = trips.c
    summed = select(
        func.count().label("trips"),
        func.coalesce(func.sum(t.distance_miles), 0.0).label("miles"),
        func.max(t.start_time).label("last_trip_at"),
    )
    return summed.where(t.driver_id == driver_id, t.status == "completed").lateral("sums")


_SORTS: dict[str, str | None] = {
    "driver_id": None,
    "full_name": None,
    "enrolled_at": None,
    "risk_score": "score",
    "monthly_premium": "premium",
    "last_trip_at": "last",
}
SORTS = tuple(_SORTS)
_NULLABLE = {"full_name", "risk_score", "monthly_premium", "last_trip_at"}


def _chosen(wanted: CardFilter, sort: str | None = None) -> tuple[Select[Any], Any]:
    """Return the query for the drivers of a filter, and what to sort them by.

    Newest scores and premiums are joined only where they are asked for: that looks at all drivers.
    """
    makers = {"score": _score, "premium": _premium, "last": _last}
    name = _SORTS[sort] if sort is not None else None
    needed = {name, "score" if wanted.band is not None else None} - {None}
    joined = {one: make(_C.driver_id) for one, make in makers.items() if one in needed}
    source: Any = drivers
    for lateral in joined.values():
        source = source.outerjoin(lateral, true())
    conditions = list(_conditions(wanted))
    if wanted.band == "none":
        conditions.append(joined["score"].c.risk_score.is_(None))
    elif wanted.band is not None:
        low, high = BANDS[wanted.band]
        conditions.append(and_(joined["score"].c.risk_score > low, joined["score"].c.risk_score <= high))
    query = select().select_from(source).where(*conditions)
    if sort is None:
        return query, None
    return query, _C[sort] if name is None else joined[name].c["start_time" if name == "last" else sort]


def _conditions(wanted: CardFilter) -> Sequence[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.search:
        found.append(_matches(wanted.search))
    if wanted.state is not None:
        found.append(_C.state == wanted.state)
    if wanted.driver_id is not None:
        found.append(_C.driver_id == wanted.driver_id)
    if wanted.status == "inactive":
        found.append(_C.deactivated_at.is_not(None))
    elif wanted.status == "active":
        found.append(and_(_C.status == "active", _C.deactivated_at.is_(None)))
    elif wanted.status is not None:
        found.append(_C.status == wanted.status)
    return found


def _matches(search: str) -> ColumnElement[bool]:
    words = words_beginning(search)
    if words is None:
        return false()
    by_name = func.to_tsvector(text("'simple'::regconfig"), _C.full_name).op("@@")(
        func.to_tsquery(text("'simple'::regconfig"), words)
    )
    prefixes = {starting(search), starting(search.upper())}
    by_id = (_C.driver_id.like(prefix) for prefix in sorted(prefixes))
    return or_(*by_id, by_name, func.lower(_C.email).like(starting(search.lower())))


_SHOWN = (_C.driver_id, _C.full_name, _C.state, _C.status, _C.deactivated_at, _C.enrolled_at)


def _cards(chosen: Any) -> Select[Any]:
    """Return the query that adds to chosen drivers what lies elsewhere, a few rows of an index each."""
    own = chosen.c
    score, premium, sums = _score(own.driver_id), _premium(own.driver_id), _sums(own.driver_id)
    p = policies.c
    running = (
        select(p.policy_id)
        .where(p.driver_id == own.driver_id, p.status == "active")
        .order_by(p.created_at.desc(), p.policy_id.desc())
        .limit(1)
        .lateral("running")
    )
    source = chosen
    for joined in (score, premium, running, sums):
        source = source.outerjoin(joined, true())
    return select(
        *(own[column.name] for column in _SHOWN), score.c.risk_score, score.c.calculated_at.label("scored_at"),
        premium.c.monthly_premium, premium.c.currency, running.c.policy_id, sums.c.trips, sums.c.miles,
        sums.c.last_trip_at,
    ).select_from(source)  # fmt: skip


async def cards(uow: UnitOfWork, wanted: CardFilter, *, sort: str, descending: bool, limit: int, offset: int) -> Rows:
    """Return a page of cards. ``sort`` is one of ``SORTS``; what has no value comes last."""
    query, key = _chosen(wanted, sort)
    order = _order(key, sort, descending), _order(_C.driver_id, "driver_id", descending)
    page = query.add_columns(*_SHOWN, key.label("place")).order_by(*order).limit(limit).offset(offset)
    chosen = page.cte("chosen")
    order = _order(chosen.c.place, sort, descending), _order(chosen.c.driver_id, "driver_id", descending)
    return await fetch(uow, _cards(chosen).order_by(*order))


def _order(key: Any, sort: str, descending: bool) -> Any:
    # Only where there may be nulls: no index knows that order backwards.
    ordered = key.desc() if descending else key.asc()
    return ordered.nulls_last() if sort in _NULLABLE and descending else ordered


async def cards_after(uow: UnitOfWork, wanted: CardFilter, *, after: str, limit: int) -> Rows:
    """Return cards in the order of ids, from past one on."""
    query = _chosen(wanted)[0].add_columns(*_SHOWN)
    chosen = query.where(_C.driver_id > after).order_by(_C.driver_id).limit(limit).cte("chosen")
    return await fetch(uow, _cards(chosen).order_by(chosen.c.driver_id))


async def count_cards(uow: UnitOfWork, wanted: CardFilter) -> int:
    """Return how many drivers a filter finds."""
    return int((await uow.conn.execute(_chosen(wanted)[0].add_columns(func.count()))).scalar_one())
