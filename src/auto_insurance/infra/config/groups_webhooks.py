"""Settings of webhooks."""

from __future__ import annotations

from ipaddress import ip_network

from pydantic import SecretStr, field_validator

from auto_insurance.infra.config.groups import Group, setting

DEVELOPMENT_WEBHOOK_KEY = "dev-webhook-key-change-in-production"
"""Known to all: used in development and tests when no key is set."""


class WebhookSettings(Group):
    """Domain events that are sent to the systems of others."""

    secret_key: SecretStr | None = setting(
        "WEBHOOK_SECRET_KEY",
        None,
        "Key that signing secrets are computed from; staging and production take no webhooks without it.",
        min_length=32,
    )
    secret_key_previous: SecretStr | None = setting(
        "WEBHOOK_SECRET_KEY_PREVIOUS",
        None,
        "The key before it, until every webhook's secret was rotated.",
        min_length=32,
    )
    allow_http: bool | None = setting(
        "WEBHOOK_ALLOW_HTTP", None, "Take http:// addresses; by default in development, tests and the demo only."
    )
    allowed_networks: str = setting(
        "WEBHOOK_ALLOWED_NETWORKS", "", "Networks (CIDR, by comma) that may be sent to though they are not public."
    )
    max_endpoints: int = setting("WEBHOOK_MAX_ENDPOINTS", 20, "Webhooks that there may be.", ge=1, le=100)
    places: int = setting(
        "WEBHOOK_CONCURRENCY", 4, "Deliveries under way to one webhook from one scheduler.", ge=1, le=64
    )
    connect_timeout_s: float = setting(
        "WEBHOOK_CONNECT_TIMEOUT_S", 3.0, "Seconds that a connection may take.", gt=0, le=30
    )
    total_timeout_s: float = setting(
        "WEBHOOK_TOTAL_TIMEOUT_S",
        10.0,
        "Seconds that a delivery may take, name look-up and answer included.",
        gt=0,
        le=60,
    )
    attempts: int = setting(
        "WEBHOOK_ATTEMPTS", 8, "Attempts before a delivery is dead; the pauses grow fourfold from 15 s.", ge=1, le=10
    )
    disable_after_days: float = setting(
        "WEBHOOK_DISABLE_AFTER_DAYS", 5.0, "Days of failure after which a webhook is switched off.", gt=0, le=90
    )
    retention_days: int = setting("WEBHOOK_RETENTION_DAYS", 30, "Days that deliveries are kept.", ge=3, le=365)

    @field_validator("allowed_networks")
    @classmethod
    def _networks(cls, text: str) -> str:
        for part in filter(None, map(str.strip, text.split(","))):
            ip_network(part)
        return text
