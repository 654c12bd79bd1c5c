"""Exact conversion factors. Definitions: NIST Special Publication 811 (2008), appendix B."""

from __future__ import annotations

METRES_PER_MILE = 1609.344
MS_PER_MPH = 0.44704
KMH_PER_MPH = 1.609344
STANDARD_GRAVITY_MS2 = 9.80665


def mph_to_ms(mph: float) -> float:
    """Return metres per second."""
    return mph * MS_PER_MPH


def ms_to_mph(ms: float) -> float:
    """Return miles per hour."""
    return ms / MS_PER_MPH


def metres_to_miles(metres: float) -> float:
    """Return statute miles."""
    return metres / METRES_PER_MILE
