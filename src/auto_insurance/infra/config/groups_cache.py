"""Settings of the levels of the cache; how long answers live in Redis is in ``CacheSettings``."""

from __future__ import annotations

from auto_insurance.infra.config.groups import Group, setting


class ReadCacheSettings(Group):
    """Answers kept in a process, and those that are made before anybody asks."""

    l1_entries: int = setting("CACHE_L1_ENTRIES", 1_000, "Answers that an API process keeps.", ge=1, le=1_000_000)
    l1_ttl_s: float = setting("CACHE_L1_TTL", 60.0, "Seconds that it keeps one.", gt=0, le=3600)
    negative_ttl_s: float = setting(
        "CACHE_TTL_NOT_FOUND", 5.0, "Seconds that it is remembered that something does not exist.", gt=0, le=300
    )
    figures_ttl_s: float = setting(
        "CACHE_TTL_FIGURES",
        5.0,
        "Seconds that staff's figures of the whole book are kept; 0 counts each time.",
        ge=0,
        le=600,
    )
    warm_drivers: int = setting(
        "CACHE_WARM_DRIVERS", 1_000, "Drivers whose answers a starting API makes ahead; 0 makes none.", ge=0, le=100_000
    )
    warm_s: float = setting(
        "CACHE_WARM_SECONDS", 30.0, "Seconds after which a starting API stops making answers ahead.", gt=0, le=600
    )
    warm_ready_s: float = setting(
        "CACHE_WARM_READY_SECONDS", 2.0, "Seconds of that for which readiness waits at most.", ge=0, le=60
    )
