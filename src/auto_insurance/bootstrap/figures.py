"""The figures of the whole book that have a short way: those that staff see first and look at all day."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence

import structlog
from pydantic import BaseModel

from auto_insurance.admin.recent import RecentFigures
from auto_insurance.admin.service import Dashboard
from auto_insurance.bootstrap.container import Container
from auto_insurance.infra.cache.l1 import Held
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.infra.http.reads_table import Bounds, FigureRead, Numbers

log = structlog.get_logger(__name__)
DAYS = {"days": Bounds(7, 1, 90)}
UTC = "UTC"
CountOf = Callable[[UnitOfWork, Numbers], Awaitable[BaseModel]]


class _Kept:
    """Figures among those that the routes keep: the same key, so that both ways say the same."""

    def __init__(self, recent: RecentFigures, key: Callable[[Numbers], Hashable], count: CountOf) -> None:
        self._recent, self._key, self._count = recent, key, count

    def peek(self, numbers: Numbers) -> Held | None:
        """Return what is kept."""
        return self._recent.peek(self._key(numbers), lambda uow: self._count(uow, numbers))

    async def make(self, numbers: Numbers) -> Held:
        """Count, or wait for who counts."""
        return await self._recent.make(self._key(numbers), lambda uow: self._count(uow, numbers))


def figures(container: Container) -> Sequence[FigureRead]:
    """Return them on a composed container."""
    recent, board = container.get(RecentFigures), container.get(Dashboard)

    def one(
        path: str, key: Callable[[Numbers], Hashable], count: CountOf, params: Mapping[str, Bounds] | None = None
    ) -> FigureRead:
        return FigureRead(f"/admin/dashboard/{path}", _Kept(recent, key, count), params or {})

    return [
        one("stats", lambda _: ("stats",), lambda uow, _: board.stats(uow)),
        one("summary", lambda _: ("summary",), lambda uow, _: board.summary(uow)),
        one("risk-distribution", lambda _: ("risk_distribution",), lambda uow, _: board.risk_distribution(uow)),
        one("policy-type-distribution", lambda _: ("policy_types",), lambda uow, _: board.policy_types(uow)),
        one(
            "trip-activity",
            lambda asked: ("trip_activity", asked["days"], UTC),
            lambda uow, asked: board.trip_activity(uow, asked["days"], UTC),
            DAYS,
        ),
        one(
            "safety-events-breakdown",
            lambda asked: ("safety_events", asked["days"]),
            lambda uow, asked: board.safety_events(uow, asked["days"]),
            DAYS,
        ),
    ]


async def count_ahead(container: Container) -> None:
    """Count what staff see first, so that the first of them does not wait; a failure is logged."""
    try:
        for read in figures(container):
            await read.figures.make({name: bounds.default for name, bounds in read.params.items()})
    except Exception as error:
        log.warning("figures_not_counted", error=type(error).__name__)
