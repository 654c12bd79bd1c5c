"""How exact the places in an answer are: the one place where positions are made coarse or left out.

A driver sees its own places. Staff see them exactly only if their role may locate and the driver allows it; otherwise
latitude and longitude are rounded to a raster of about a kilometre, and paths are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from auto_insurance.drivers.consents import ConsentService
from auto_insurance.drivers.schemas import Purpose
from auto_insurance.identity.schemas import Principal
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import geo

M = TypeVar("M", bound=BaseModel)
Locates = Callable[[str], bool]
"""Tells whether the caller's roles let it see raw positions of a driver."""
ROUNDED = frozenset({"latitude", "longitude"})
LEFT_OUT = frozenset({"path"})


class Precision:
    """Makes answers as exact as the caller may see them."""

    def __init__(self) -> None:
        self._consents = ConsentService()

    async def exact_for(
        self, uow: UnitOfWork, caller: Principal, locates: Locates, driver_ids: Sequence[str]
    ) -> frozenset[str]:
        """Return those of the drivers whose positions the caller may see as they are."""
        raw = {driver_id for driver_id in driver_ids if locates(driver_id)}
        others = sorted(raw - {caller.driver_id})
        return frozenset(raw) - await self._consents.withheld(uow, others, Purpose.LOCATION_HISTORY)

    async def of_driver(
        self, uow: UnitOfWork, caller: Principal, locates: Locates, driver_id: str, answers: Sequence[M]
    ) -> list[M]:
        """Return answers about one driver as exact as the caller may see them."""
        exact = await self.exact_for(uow, caller, locates, [driver_id])
        return list(answers) if exact else [coarse(answer) for answer in answers]

    async def of_each(self, uow: UnitOfWork, caller: Principal, locates: Locates, answers: Sequence[M]) -> list[M]:
        """Return answers that name their ``driver_id`` as exact as the caller may see each; one query for all."""
        drivers = [str(getattr(answer, "driver_id", "")) for answer in answers]
        exact = await self.exact_for(uow, caller, locates, sorted(set(drivers)))
        pairs = zip(answers, drivers, strict=True)
        return [answer if driver_id in exact else coarse(answer) for answer, driver_id in pairs]


def coarse(answer: M) -> M:
    """Return an answer with its positions on the raster and without paths. The given one stays as it is."""
    changes: dict[str, Any] = {}
    for name in type(answer).model_fields:
        before = getattr(answer, name)
        after = _coarse(name, before)
        if after is not before:
            changes[name] = after
    return answer.model_copy(update=changes) if changes else answer


def _coarse(name: str, value: Any) -> Any:
    if name in LEFT_OUT:
        return None
    if name in ROUNDED and isinstance(value, float):
        return geo.coarse(value)
    if isinstance(value, BaseModel):
        return coarse(value)
    if isinstance(value, list) and any(isinstance(item, BaseModel) for item in value):
        return [_coarse("", item) for item in value]
    return value
