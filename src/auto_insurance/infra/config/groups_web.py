"""Settings of how browsers meet the API."""

from __future__ import annotations

from pydantic import field_validator

from auto_insurance.infra.config.groups import Group, setting


class WebSettings(Group):
    """Pages of other origins, and transport."""

    cors_origins: str = setting(
        "CORS_ORIGINS",
        "",
        "Origins (https://name, by comma) whose pages may call the API; by default none but the API's own.",
        max_length=4000,
    )
    hsts_s: int = setting(
        "HSTS_SECONDS",
        0,
        "Seconds that browsers are told to come by https only; 0 says nothing.",
        production=31_536_000,
        ge=0,
        le=63_072_000,
    )

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, text: str) -> str:
        for origin in origins_of(text):
            scheme, separator, host = origin.partition("://")
            if scheme not in {"https", "http"} or not separator or not host or "/" in host or "*" in host:
                raise ValueError(f"{origin!r} is no origin: scheme://host or scheme://host:port, without a path or *")
        return text


def origins_of(text: str) -> list[str]:
    """Return the origins in a list by comma."""
    return [part.strip() for part in text.split(",") if part.strip()]
