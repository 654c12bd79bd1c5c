"""A record of the log, as far as decoding looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from auto_insurance.kernel.clock import from_us

NOW = 1_794_000_000_000_000
ARRIVED = from_us(NOW)


@dataclass
class Logged:
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    appended_at: datetime = ARRIVED
