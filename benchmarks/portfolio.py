"""A whole book for reads: drivers who drove for months, were scored and priced, and are signed in."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg

from auto_insurance import bootstrap
from auto_insurance.identity.schemas import Role, User
from auto_insurance.identity.tokens import AccessTokens, TokenOptions
from auto_insurance.kernel import clock, ids
from auto_insurance.pricing.service import PricingService
from auto_insurance.risk.book import BookScoring
from auto_insurance.trips.schemas import TripSums
from benchmarks.fill import fill_months
from benchmarks.fleet import driver_name
from benchmarks.lab import SECRET, Lab
from benchmarks.results import Wrong

TRIPS_EACH = 100
STEP = 500_000
SUMS = TripSums.__struct_fields__
TRIPS = """
INSERT INTO trips (trip_id, driver_id, device_id, status, revision, start_time, end_time, time_zone, start_latitude,
    start_longitude, end_latitude, end_longitude, avg_speed_mph, max_speed_mph, crash_reported, end_reason, {sums})
SELECT gen_random_uuid(), 'DRV' || lpad(d::text, 5, '0'), 'BD' || lpad(d::text, 5, '0'), 'completed', 1, t,
    t + interval '20 minutes', 'UTC', 40, -90, 40.1, -90.1, 30, 60, false, 'ignition_off', {values}
FROM generate_series($1::int, $2::int) AS n,
    LATERAL (SELECT n % $3 AS d, now() - (1 + n / $3) * interval '2 days' AS t, 5 + random() * 20 AS miles,
        random() AS r) AS drawn
"""
VALUES = {
    "duration_s": "1200",
    "moving_s": "1100",
    "distance_miles": "miles",
    "harsh_braking_count": "(r * 4)::int",
    "rapid_accel_count": "(r * 5)::int",
    "harsh_corner_count": "(r * 5)::int",
    "speeding_s": "r * 120",
    "speed_limit_known_s": "1000",
    "speed_limit_known_miles": "miles * 0.9",
    "phone_usage_s": "r * 20",
    "phone_known_s": "1100",
    "phone_known_miles": "miles",
    "night_miles": "miles * r * 0.1",
    "rush_hour_miles": "miles * 0.2",
}
TRIP_SCORES = """
INSERT INTO trip_scores (trip_id, driver_id, trip_score, risk_level, relativity, contributions, model_version, revision,
    scored_at)
SELECT trip_id, driver_id, 80, 'low', 0.9, '[]', 'benchmark', 1, end_time FROM trips
"""
COPIES = "INSERT INTO premiums ({columns}) SELECT {values} FROM premiums p, drivers d WHERE d.driver_id <> p.driver_id"


class Portfolio:
    """A database with such a book, and tokens of the people in it."""

    def __init__(self, lab: Lab, drivers: int, events: int) -> None:
        self.database = lab.clone()
        self.drivers = drivers
        self.events = fill_months(lab, self.database, events, drivers, seed=5)
        lab.on(self.database, self._driven)
        asyncio.run(self._judged(lab))
        lab.on(self.database, self._priced)
        self.trips = lab.value(self.database, "SELECT count(*) FROM trips")

    async def _driven(self, conn: asyncpg.Connection) -> None:
        statement = TRIPS.format(sums=", ".join(SUMS), values=", ".join(VALUES.get(name, "0") for name in SUMS))
        total = self.drivers * TRIPS_EACH
        for first in range(0, total, STEP):
            await conn.execute(statement, first, min(first + STEP, total) - 1, self.drivers, timeout=600)
        await conn.execute(TRIP_SCORES, timeout=600)
        await conn.execute("VACUUM (ANALYZE) trips, trip_scores", timeout=600)

    async def _judged(self, lab: Lab) -> None:
        container = bootstrap.build(lab.settings("postgres", self.database), "bench")
        try:
            run = await container.get(BookScoring).run("benchmark", restart=True)
            if run.scored < self.drivers:
                raise Wrong(f"{run.scored} of {self.drivers} drivers were scored")
            async with container.database.begin() as uow:
                await container.get(PricingService).charge_initial(uow, driver_name(0))
        finally:
            await container.close()

    async def _priced(self, conn: asyncpg.Connection) -> None:
        """Give everybody the first driver's premium: what it says is of no matter, that it is there is."""
        columns = [row[0] for row in await conn.fetch(_COLUMNS)]
        own = {"premium_id": "gen_random_uuid()", "driver_id": "d.driver_id"}
        values = [own.get(column, f"p.{column}") for column in columns]
        await conn.execute(COPIES.format(columns=", ".join(columns), values=", ".join(values)), timeout=600)
        await conn.execute("ANALYZE", timeout=600)

    def sign_in(self, lab: Lab, people: int) -> tuple[list[str], str]:
        """Return access tokens of so many drivers, and one of an administrator."""
        tokens = AccessTokens(TokenOptions(secret_key=SECRET, access_ttl=timedelta(hours=12)))
        now = clock.now()
        users = [
            User(
                user_id=ids.new_uuid(),
                username=f"bench{number}",
                email=None,
                driver_id=None if number == people else driver_name(number),
                roles=frozenset({Role.ADMIN if number == people else Role.DRIVER}),
                is_active=True,
                created_at=now,
            )
            for number in range(people + 1)
        ]
        sessions = {user.user_id: ids.new_uuid() for user in users}

        async def store(conn: asyncpg.Connection) -> None:
            await conn.copy_records_to_table(
                "users",
                columns=["user_id", "username", "password_hash", "roles", "driver_id"],
                records=[(user.user_id, user.username, "!", list(user.roles), user.driver_id) for user in users],
            )
            await conn.copy_records_to_table(
                "sessions",
                columns=["session_id", "user_id", "created_at", "expires_at"],
                records=[(session, user, now, now + timedelta(days=1)) for user, session in sessions.items()],
            )

        lab.on(self.database, store)
        issued = [tokens.issue(user, sessions[user.user_id]) for user in users]
        return issued[:-1], issued[-1]


_COLUMNS = """
SELECT column_name FROM information_schema.columns
WHERE table_name = 'premiums' AND table_schema = current_schema() AND is_generated = 'NEVER' AND is_identity = 'NO'
"""
