"""Settings -> the services of webhooks."""

from __future__ import annotations

from datetime import timedelta

from auto_insurance.infra.config import Environment, Settings
from auto_insurance.infra.config.groups_webhooks import DEVELOPMENT_WEBHOOK_KEY
from auto_insurance.infra.db.uow import Database
from auto_insurance.webhooks.addresses import networks
from auto_insurance.webhooks.retrying import RetryPlan
from auto_insurance.webhooks.service import (
    AddressRules,
    DeliveryOptions,
    DeliveryWorker,
    EventQueue,
    Keyring,
    Sender,
    SendOptions,
    WebhookOptions,
    WebhookService,
)

_EASY = frozenset({Environment.DEVELOPMENT, Environment.TEST})
_LEASE_BEYOND_S = 30.0


def compose(settings: Settings, database: Database) -> tuple[WebhookService, EventQueue, DeliveryWorker]:
    """Return the services of webhooks."""
    webhooks = settings.webhooks
    keys, rules = keyring(settings), address_rules(settings)
    sender = Sender(rules, SendOptions(webhooks.connect_timeout_s, webhooks.total_timeout_s))
    options = DeliveryOptions(
        max_endpoints=webhooks.max_endpoints,
        places=webhooks.places,
        lease_s=webhooks.total_timeout_s + _LEASE_BEYOND_S,
        drain_s=settings.server.shutdown_timeout_s / 2,
        disable_after=timedelta(days=webhooks.disable_after_days),
        retry=RetryPlan(webhooks.attempts),
    )
    kept = WebhookOptions(webhooks.max_endpoints, timedelta(days=webhooks.retention_days))
    return (
        WebhookService(keys, rules, kept),
        EventQueue(webhooks.max_endpoints),
        DeliveryWorker(database, sender, keys, options),
    )


def keyring(settings: Settings) -> Keyring:
    """Return the keys that signing secrets are computed from; none in staging and production unless set."""
    set_keys = (settings.webhooks.secret_key, settings.webhooks.secret_key_previous)
    keys = [key.get_secret_value() for key in set_keys if key is not None]
    if not keys and settings.environment in _EASY:
        keys = [DEVELOPMENT_WEBHOOK_KEY]
    return Keyring(keys)


def address_rules(settings: Settings) -> AddressRules:
    """Return where webhooks may go."""
    allow_http = settings.webhooks.allow_http
    if allow_http is None:
        allow_http = settings.environment in _EASY or settings.demo_mode
    return AddressRules(allow_http, networks(settings.webhooks.allowed_networks))
