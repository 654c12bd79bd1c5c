"""How old an upload's newest event was when it became visible: PostgreSQL's own commit times against the schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from auto_insurance.kernel import clock
from benchmarks.fleet import device_name
from benchmarks.uploads import LAST

_MAKE = "CREATE TEMP TABLE late_uploads (device_id text, timestamp timestamptz)"
_AGES = """
CREATE TEMP TABLE ages AS
SELECT extract(epoch FROM e.timestamp - $1)::float8 AS due_s,
       extract(epoch FROM pg_xact_commit_timestamp(e.xmin) - e.timestamp - $2)::float8 AS age_s
FROM telematics_events e LEFT JOIN late_uploads l USING (device_id, timestamp)
WHERE right(e.event_id, 1) = $3 AND l.device_id IS NULL
"""
_SUMMARY = """
SELECT floor(due_s / $1)::int AS part,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY age_s) AS p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY age_s) AS p95,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY age_s) AS p99,
       max(age_s) AS max, count(*) AS uploads
FROM ages WHERE due_s >= $2 AND due_s < $3 GROUP BY 1 ORDER BY 1
"""
WHOLE_S = 1e9


@dataclass(slots=True)
class Ages:
    """Seconds from the instant at which an upload was due to the commit of its rows."""

    overall: dict[str, float]
    p95_by_minute: list[float]
    p95_by_10_s: list[float]

    @property
    def flatness(self) -> float:
        """The p95 of the last part over that of the first: minutes, or stretches of 10 s when there is only one."""
        parts = self.p95_by_minute if len(self.p95_by_minute) > 1 else self.p95_by_10_s
        return parts[-1] / parts[0]


async def visible_ages(
    conn: asyncpg.Connection,
    start: datetime,
    shift: timedelta,
    late: Sequence[tuple[int, int]],
    warm_s: float,
    seconds: float,
) -> Ages:
    """Return the ages of uploads that were sent in time, due in [warm_s, seconds) after ``start``.

    ``late``: (device, time of the newest event) of those that were held back on purpose. Needs
    ``track_commit_timestamp``.
    """
    await conn.execute(_MAKE)
    rows = [(device_name(device), clock.from_us(t_us)) for device, t_us in late]
    await conn.copy_records_to_table("late_uploads", records=rows)
    await conn.execute("ANALYZE late_uploads")
    await conn.execute(_AGES, start, shift, LAST)
    found = {}
    for part_s in (WHOLE_S, 60.0, 10.0):
        found[part_s] = [dict(row) for row in await conn.fetch(_SUMMARY, part_s, warm_s, float(seconds))]
    overall = {name: round(float(value), 4) for name, value in found[WHOLE_S][0].items() if name != "part"}
    return Ages(
        overall,
        [round(row["p95"], 4) for row in found[60.0]],
        [round(row["p95"], 4) for row in found[10.0]],
    )
