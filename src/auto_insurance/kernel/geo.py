"""Distances and directions on a sphere of the earth's mean radius."""

from __future__ import annotations

from math import asin, atan2, cos, degrees, radians, sin, sqrt

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the earth in metres (IUGG; Moritz, Geodetic Reference System 1980)."""


def haversine_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the great-circle distance in metres between two points in degrees (Sinnott, 1984)."""
    phi1, phi2 = radians(lat1), radians(lat2)
    dphi, dlam = phi2 - phi1, radians(lon2 - lon1)
    a = sin(dphi / 2) ** 2 + cos(phi1) * cos(phi2) * sin(dlam / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(a)))


def bearing_deg(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the initial course in degrees from north, 0 <= course < 360."""
    phi1, phi2, dlam = radians(lat1), radians(lat2), radians(lon2 - lon1)
    y = sin(dlam) * cos(phi2)
    x = cos(phi1) * sin(phi2) - sin(phi1) * cos(phi2) * cos(dlam)
    return degrees(atan2(y, x)) % 360.0


def turn_deg(before: float, after: float) -> float:
    """Return the signed change of course in degrees, -180 < turn <= 180, right positive."""
    turn = (after - before) % 360.0
    return turn - 360.0 if turn > 180.0 else turn


GRID_DEG = 0.01
"""About 1.1 km of latitude: the raster to which positions are made coarse."""


def coarse(degrees_: float) -> float:
    """Return a latitude or longitude on the raster of ``GRID_DEG``."""
    return round(degrees_, 2)
