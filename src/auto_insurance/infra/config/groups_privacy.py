"""Settings of privacy: how long things are kept."""

from __future__ import annotations

from auto_insurance.infra.config.groups import Group, setting


class PrivacySettings(Group):
    """How long what tells about a person is kept. RETENTION_MONTHS says when driving events leave for the archive."""

    places_months: int = setting(
        "PRIVACY_PLACES_MONTHS",
        36,
        "Months after which first and last places of trips, and places of what happened on them, are rounded to about "
        "a kilometre. 0 keeps them.",
        ge=0,
        le=1200,
    )
    withheld_days: int = setting(
        "PRIVACY_WITHHELD_PLACES_DAYS",
        35,
        "The same in days, for drivers who withdrew the history of places.",
        ge=1,
        le=3660,
    )
    scores_months: int = setting(
        "PRIVACY_SCORES_MONTHS",
        36,
        "Months after which a risk score goes that is not its driver's newest and that no premium rests on. 0 keeps "
        "all.",
        ge=0,
        le=1200,
    )
    idle_months: int = setting(
        "PRIVACY_IDLE_MONTHS",
        36,
        "Months without policy, trip and sign-in after which staff are asked to erase a driver. 0 never asks.",
        ge=0,
        le=1200,
    )
    archive_months: int = setting(
        "PRIVACY_ARCHIVE_MONTHS",
        0,
        "Months after which archived driving events are deleted for good. 0 keeps them.",
        ge=0,
        le=1200,
    )
    exports_per_hour: int = setting(
        "PRIVACY_EXPORTS_PER_HOUR", 5, "Exports of one driver's data in an hour.", ge=1, le=1000
    )
