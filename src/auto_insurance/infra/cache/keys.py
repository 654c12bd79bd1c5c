"""What is kept: a key, how long it lives, which changes drop it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from auto_insurance.infra.db.touched import EVERYTHING, Aspect, mark
from auto_insurance.kernel import clock

PREFIX = "cache"
"""Of all names in Redis; ``cache:v1:NAME:DRIVER:VARIANT`` holds an answer, ``cache:gen:MARK`` a generation."""
VERSION = "v1"
"""Another form of what is stored gets another number: old and new processes share one Redis while they are replaced."""


@dataclass(frozen=True, slots=True, eq=False)
class CacheKey:
    """A kind of answer about one driver."""

    name: str
    ttl_s: float
    """Seconds that an answer lives in Redis; what is dropped by a change is never waited for."""
    purged_by: frozenset[Aspect]
    about: str
    """One line for the documentation."""
    daily: bool = False
    """The answer changes when the day (UTC) does, such as a price that takes effect."""
    sent: bool = True
    """It goes out as it is, and is therefore also kept packed."""

    def place(self, driver_id: str, variant: str = "") -> Place:
        """Return where the answer about a driver is kept; ``variant`` tells parameters apart."""
        day = clock.now().date().isoformat() if self.daily else ""
        return Place(self, driver_id, variant, day)


class Place(NamedTuple):
    """Where one answer is kept."""

    key: CacheKey
    driver_id: str
    variant: str
    day: str

    @property
    def name(self) -> str:
        """The name in Redis."""
        return f"{PREFIX}:{VERSION}:{self.key.name}:{self.driver_id}:{self.variant}:{self.day}"

    @property
    def marks(self) -> tuple[str, ...]:
        """What must not have changed for the answer to be good."""
        own = (mark(aspect, self.driver_id) for aspect in sorted(self.key.purged_by))
        return (EVERYTHING, *own)


def generation(of: str) -> str:
    """Return the name in Redis of a mark's generation."""
    return f"{PREFIX}:gen:{of}"


def names_of(driver_id: str) -> str:
    """Return the pattern of all answers that are kept about a driver, for SCAN."""
    escaped = "".join(f"\\{sign}" if sign in "*?[]\\^-" else sign for sign in driver_id)
    return f"{PREFIX}:{VERSION}:*:{escaped}:*"
