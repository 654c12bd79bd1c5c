"""When a delivery that failed is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FACTOR = 4.0
JITTER = 0.2
"""Share by which a pause is longer or shorter, so that what failed together does not come together."""


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """How often and how far apart. By default 8 times: after 15 s, 1, 4, 16 min, 1, 4 and 17 h, 23 hours in all."""

    attempts: int = 8
    first_s: float = 15.0
    retry_after_most_s: float = 6 * 3600.0
    """A receiver may ask for a longer pause, up to this."""

    def pause_s(self, attempts: int, retry_after_s: float | None, chance: float) -> float | None:
        """Return the pause after ``attempts`` attempts (from 1), or None: give up. ``chance`` is in [0, 1)."""
        if attempts >= self.attempts:
            return None
        pause: float = self.first_s * FACTOR ** (max(attempts, 1) - 1) * (1 - JITTER + 2 * JITTER * chance)
        return max(pause, min(retry_after_s or 0.0, self.retry_after_most_s))


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (a number or an HTTP date); None if it says nothing usable."""
    if header is None or len(header) > 64:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text), 10**9))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max((at - now).total_seconds(), 0.0)
