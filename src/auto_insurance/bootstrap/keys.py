"""What is kept about a driver: each with its name, life, and what drops it. This is all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from auto_insurance.infra.cache.keys import CacheKey
from auto_insurance.infra.config import Settings
from auto_insurance.infra.db.touched import Aspect

DRIVER, TRIPS, SCORE, PREMIUM = Aspect.DRIVER, Aspect.TRIPS, Aspect.SCORE, Aspect.PREMIUM
FEATURES = "The newest feature vector with its watermark; no route sends it."


def keys(settings: Settings) -> dict[str, CacheKey]:
    """Return every key by its name; the same ones for the same lives, since places are told apart by their key."""
    return _keys(settings.cache.ttl_default_s, settings.cache.ttl_risk_score_s)


@cache
def _keys(usual: float, score: float) -> dict[str, CacheKey]:
    def key(name: str, ttl_s: float, purged_by: set[Aspect], about: str, *, daily: bool = False) -> CacheKey:
        return CacheKey(name, ttl_s, frozenset(purged_by), about, daily)

    found = (
        key("driver", usual, {DRIVER}, "A driver's facts and contact fields."),
        key("summary", usual, {DRIVER, TRIPS, SCORE, PREMIUM}, "The numbers of a driver's first page.", daily=True),
        key("statistics", usual, {DRIVER, TRIPS}, "Rates of a period that ends when the answer is made."),
        key("trips", usual, {TRIPS}, "A page of a driver's trips."),
        key("trips_summary", usual, {DRIVER, TRIPS}, "Totals over all trips."),
        key("alerts", usual, {DRIVER, TRIPS}, "A page of crashes and severe events."),
        key("risk_factors", score, {DRIVER, SCORE}, "What moves the newest score."),
        key("score", score, {DRIVER, SCORE}, "The newest risk score."),
        key("breakdown", score, {DRIVER, SCORE}, "The newest risk score with all that is behind it."),
        CacheKey("features", score, frozenset({DRIVER, TRIPS}), FEATURES, daily=True, sent=False),
        key("risk_history", usual, {DRIVER, SCORE}, "A page of a driver's scores."),
        key("price", usual, {DRIVER, PREMIUM}, "The charged premium of today and the indicated one.", daily=True),
        key("worksheet", usual, {DRIVER, PREMIUM}, "The worksheets of both premiums.", daily=True),
        key("price_history", usual, {DRIVER, PREMIUM}, "A page of the versions of a driver's premium."),
    )
    return {one.name: one for one in found}


def all_keys(settings: Settings) -> Sequence[CacheKey]:
    """Return every key, for the documentation's test."""
    return tuple(keys(settings).values())
