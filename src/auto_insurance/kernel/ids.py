"""Identifiers: time-ordered UUIDs for rows and events, readable numbers for people."""

from __future__ import annotations

import os
from uuid import UUID

from auto_insurance.kernel import clock


def new_uuid() -> UUID:
    """Return a time-ordered UUID, version 7 (RFC 9562, section 5.7)."""
    ms = clock.to_us(clock.now()) // 1000
    rand = int.from_bytes(os.urandom(10), "big")
    value = (ms & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    value |= ((rand >> 62) & 0xFFF) << 64
    value |= 0b10 << 62
    value |= rand & ((1 << 62) - 1)
    return UUID(int=value)


def readable(prefix: str, number: int, width: int) -> str:
    """Return an identifier for people, such as ``DRV001`` (``readable("DRV", 1, 3)``)."""
    return f"{prefix}{number:0{width}d}"
