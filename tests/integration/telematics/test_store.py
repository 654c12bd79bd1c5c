"""Stored once, read back exactly, in whatever month."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.telematics.columns import of_samples
from auto_insurance.telematics.extras import canonical_extra
from auto_insurance.telematics.schemas import Quality, Sample, key_of
from auto_insurance.telematics.service import EventWriter, TelematicsService

BASE = clock.to_us(datetime(2026, 11, 1, 12, tzinfo=UTC))
service = TelematicsService()


def sample(n: int = 0, *, t_us: int | None = None, device: str = "dev-1", **fields: object) -> Sample:
    values = dict.fromkeys(Sample.__struct_fields__) | {
        "device_id": device,
        "driver_id": "DRV001",
        "t_us": BASE + n * 1_000_000 if t_us is None else t_us,
        "event_id": f"e{n}",
        "received_us": BASE + 77,
        "event_type": "normal",
        "quality": 0,
    }
    return Sample(**(values | fields))  # type: ignore[arg-type]


async def put(uow: UnitOfWork, samples: Sequence[Sample], writer: EventWriter | None = None) -> list[Sample]:
    """Store samples; return the really new ones in the order given."""
    stored = await (writer or service).store(uow, of_samples(samples))
    return [sample for sample, fresh in zip(samples, stored.fresh.tolist(), strict=True) if fresh]


async def load(uow: UnitOfWork, device: str, from_us: int, to_us: int) -> list[Sample]:
    return (await service.load_columns(uow, device, from_us, to_us)).samples()


async def test_round_trip_is_exact_to_the_microsecond(db: Database) -> None:
    full = sample(
        0,
        t_us=BASE + 123_457,
        latitude=-25.44712345678901,
        longitude=1e-300,
        speed_mph=0.10000000149011612,
        accel_g=-1.5,
        lateral_g=0.25,
        heading_deg=359.5,
        altitude_m=-12.5,
        gps_accuracy_m=3.0,
        speed_limit_mph=25.0,
        phone_in_use=True,
        quality=5,
        device_trip_id="t-ü",
        extra='{"a":[1,2.5,null],"b":"x"}',
    )
    bare = sample(1, phone_in_use=False)
    async with db.begin() as uow:
        assert await put(uow, [full, bare]) == [full, bare]
    async with db.read() as uow:
        assert await load(uow, "dev-1", full.t_us, bare.t_us) == [full, bare]
        assert await load(uow, "dev-1", full.t_us + 1, bare.t_us) == [bare]
        assert await load(uow, "dev-2", full.t_us, bare.t_us) == []


async def test_the_second_copy_changes_nothing(db: Database) -> None:
    first = sample(1, speed_mph=10.0)
    copy = msgspec.structs.replace(first, speed_mph=20.0)
    async with db.begin() as uow:
        assert await put(uow, [first, copy, sample(2)]) == [first, sample(2)]
        assert await put(uow, [copy, sample(3)]) == [sample(3)]
    async with db.begin() as uow:
        assert await put(uow, [sample(3), copy, sample(4)]) == [sample(4)]
        assert await put(uow, []) == []
    async with db.read() as uow:
        stored = await load(uow, "dev-1", BASE, BASE + 10**9)
        assert stored == [first, sample(2), sample(3), sample(4)]


async def test_no_driver_no_row(db: Database) -> None:
    async with db.begin() as uow:
        with pytest.raises(ValueError, match="driver"):
            await put(uow, [sample(driver_id="")])


async def test_a_rolled_back_batch_leaves_the_connection_usable(db: Database) -> None:
    for _ in range(3):
        with pytest.raises(RuntimeError):
            async with db.begin() as uow:
                await put(uow, [sample(1)])
                raise RuntimeError
    async with db.begin() as uow:
        assert await put(uow, [sample(1)]) == [sample(1)]


async def test_odd_months_get_their_partition(db: Database) -> None:
    times = [datetime(2001, 2, 28, 23, 59, 59, 999_999, UTC), datetime(2001, 3, 1, tzinfo=UTC)]
    samples = [sample(n, t_us=clock.to_us(at)) for n, at in enumerate(times)]
    async with db.begin() as uow:
        assert await put(uow, samples) == samples
        query = text("SELECT tableoid::regclass::text FROM telematics_events ORDER BY timestamp")
        names = (await uow.conn.execute(query)).scalars().all()
        assert names == ["telematics_events_2001_02", "telematics_events_2001_03"]


async def test_writers_make_one_months_partition_at_the_same_time(db: Database) -> None:
    async def write(n: int) -> None:
        async with db.begin() as uow:
            await put(uow, [sample(n)])  # holds a lock on the parent while it waits for its turn
            old = [sample(n, t_us=clock.to_us(datetime(2003, m, 1, tzinfo=UTC)), device=f"d{n}") for m in range(1, 7)]
            assert len(await put(uow, old if n % 2 else old[::-1])) == 6

    await asyncio.gather(*(write(n) for n in range(8)))
    async with db.read() as uow:
        assert (await uow.conn.execute(text("SELECT count(*) FROM telematics_events"))).scalar_one() == 56


async def test_two_writers_of_the_same_rows_store_them_once(db: Database) -> None:
    rows = [sample(n) for n in range(200)]

    async def write(backwards: bool) -> int:
        async with db.begin() as uow:
            return len(await put(uow, rows[::-1] if backwards else rows))

    assert sum(await asyncio.gather(*(write(bool(n % 2)) for n in range(4)))) == 200


async def test_partitions_are_made_ahead_and_by_the_functions_of_old(db: Database) -> None:
    with clock.use_clock(clock.FrozenClock(datetime(2031, 11, 30, 23, tzinfo=UTC))):
        async with db.begin() as uow:
            names = [f"telematics_events_{m}" for m in ("2031_11", "2031_12", "2032_01", "2032_02")]
            assert await service.ensure_partitions(uow) == names
            assert await service.ensure_partitions(uow) == []
    async with db.begin() as uow:
        for call in ("create_partition_if_not_exists()", "create_next_month_partition()"):
            assert (await uow.conn.execute(text(f"SELECT {call}"))).scalar_one() is False
        made = text("SELECT create_partition_if_not_exists('2040-05-17')")
        assert (await uow.conn.execute(made)).scalar_one() is True


async def test_session_bounds_stop_at_the_gap(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from auto_insurance.telematics import repository

    seconds = [0, 100, 200, 800, 801, 801, 900, 1500, 3000]
    rows = [sample(n, t_us=BASE + s * 1_000_000) for n, s in enumerate(seconds)]
    async with db.begin() as uow:
        await put(uow, rows)
    for step in (2, 3, 5_000):
        monkeypatch.setattr(repository, "SESSION_STEP", step)
        async with db.read() as uow:

            async def bounds(at: float) -> tuple[float, float]:
                found = await service.session_bounds(uow, "dev-1", BASE + int(at * 1e6), 600_000_000)
                return (found[0] - BASE) / 1e6, (found[1] - BASE) / 1e6

            assert await bounds(801) == (800, 900)
            assert await bounds(100) == (0, 200)
            assert await bounds(500) == (0, 900)  # a late event closes the gap
            assert await bounds(2100.5) == (2100.5, 2100.5)
            assert await bounds(3599) == (3000, 3599)


async def test_flag_adds_bits_once(db: Database) -> None:
    rows = [sample(n, quality=int(Quality.LOW_ACCURACY)) for n in range(3)]
    async with db.begin() as uow:
        await put(uow, rows)
        keys = [key_of(row) for row in rows[:2]]
        for batch in (keys, keys, []):
            await service.flag(uow, batch, Quality.IMPLIED_SPEED)
        stored = await load(uow, "dev-1", BASE, BASE + 10**9)
    assert [s.quality for s in stored] == [12, 12, 4]


async def test_path_has_the_points_with_a_position(db: Database) -> None:
    rows = [sample(0, latitude=1.0, longitude=2.0), sample(1), sample(2, latitude=1.1, longitude=2.1, quality=4)]
    async with db.begin() as uow:
        await put(uow, rows)
        points = await service.path(uow, "dev-1", clock.from_us(BASE), clock.from_us(BASE + 2_000_000))
    assert [tuple(point) for point in points] == [(BASE, 1.0, 2.0, 0), (BASE + 2_000_000, 1.1, 2.1, 4)]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcé", max_size=4), inner, max_size=3),
    max_leaves=6,
)


async def test_whatever_extra_is_accepted_comes_back_as_it_was(db: Database) -> None:
    """One transaction for all examples: the canonical form must survive jsonb."""
    kept: list[Sample] = []

    @settings(max_examples=300, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.dictionaries(st.text("xyz", min_size=1, max_size=3), JSON, max_size=4))
    def collect(value: dict[str, object]) -> None:
        extra, problem = canonical_extra(value)
        if problem is None:
            kept.append(sample(len(kept), extra=extra))

    collect()
    async with db.begin() as uow:
        await put(uow, kept)
        assert await load(uow, "dev-1", BASE, BASE + 10**12) == kept
