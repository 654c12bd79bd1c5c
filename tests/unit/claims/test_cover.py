"""What of a policy covers a loss."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from auto_insurance.claims.cover import PolicyCover, part_of
from auto_insurance.policies.schemas import Cover, CoverPart

D = Decimal
COVER = Cover(
    policy_id="POL-1",
    term=3,
    vehicle_id=None,
    product="phyd",
    currency="USD",
    coverages=(
        CoverPart("bodily_injury", None, None, "50/100"),
        CoverPart("property_damage", D(50_000)),
        CoverPart("collision", None, D(500)),
    ),
)


@pytest.mark.parametrize(("coverage", "limit", "deductible"), [("liability", None, None), ("collision", None, D(500))])
def test_parts(coverage: str, limit: Decimal | None, deductible: Decimal | None) -> None:
    found = part_of(COVER, coverage)
    assert found is not None
    assert (found.policy_id, found.term, found.currency) == ("POL-1", 3, "USD")
    assert (found.limit, found.deductible) == (limit, deductible)


def test_limits_of_several_parts_add_up() -> None:
    parts = (CoverPart("bodily_injury", D(100_000)), CoverPart("property_damage", D(50_000)))
    found = part_of(Cover(**{**_fields(), "coverages": parts}), "liability")
    assert found is not None
    assert found.limit == D(150_000)


def _fields() -> dict[str, Any]:
    return {name: getattr(COVER, name) for name in Cover.__struct_fields__}


async def test_what_is_not_held_is_not_covered() -> None:
    moment = datetime(2026, 6, 1, tzinfo=UTC)
    uow = cast("Any", None)

    class Policies:
        async def cover_at(self, uow: Any, driver_id: str, vehicle_id: str | None, at: datetime) -> Cover | None:
            assert (vehicle_id, at) == ("VEH-1", moment)
            return COVER if driver_id == "DRV001" else None

    source = PolicyCover(Policies())
    assert await source.for_loss(uow, "DRV001", "VEH-1", moment, "comprehensive") is None
    assert await source.for_loss(uow, "DRV002", "VEH-1", moment, "collision") is None
    covered = await source.for_loss(uow, "DRV001", "VEH-1", moment, "collision")
    assert covered is not None
    assert covered.deductible == D(500)
