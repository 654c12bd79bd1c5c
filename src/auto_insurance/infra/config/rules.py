"""Rules over several settings: what production refuses, and what one setting demands of another."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from auto_insurance.infra.config.groups import DEVELOPMENT_JWT_SECRET, Environment
from auto_insurance.infra.config.sources import Problem
from auto_insurance.infra.config.tree import Settings

MIN_SECRET_BYTES = 32
LEAST_RETENTION = 4
OIDC_ROLES = ("agent", "underwriter", "actuary", "auditor", "admin")
"""Roles that an identity provider may give; the others hang on a driver or on keys."""
_PLACEHOLDERS = ("change-me", "change_me", "changeme", "change-in-production", "change-this")


def broken_rules(settings: Settings) -> Iterator[Problem]:
    """Yield what forbids these settings, one problem per variable."""
    if settings.event_log == "kafka" and not settings.kafka.bootstrap_servers:
        yield Problem("KAFKA_BOOTSTRAP_SERVERS", "is needed with EVENT_LOG=kafka: host:port of the brokers, by comma")
    yield from _sasl(settings)
    if settings.kafka.session_timeout_s <= settings.database.idle_in_transaction_timeout_s:
        # A consumer frozen in its transaction must have lost that before its partitions go to another one.
        yield Problem("KAFKA_SESSION_TIMEOUT_S", "must be above DB_IDLE_IN_TRANSACTION_TIMEOUT_S")
    if 0 < settings.retention.months < LEAST_RETENTION:
        # Younger months may still be written to by devices that send late.
        yield Problem("RETENTION_MONTHS", f"must be 0 (keep everything) or at least {LEAST_RETENTION}")
    yield from _billing(settings)
    yield from _addresses(settings)
    yield from _accounts(settings)
    if settings.environment in {Environment.PRODUCTION, Environment.STAGING}:
        yield from _secrets(settings)
    if settings.is_production:
        where = "must be off in production"
        if settings.debug:
            yield Problem("DEBUG", f"{where}: it shows internals")
        if settings.demo_mode:
            yield Problem("DEMO_MODE", f"{where}: its users have known passwords")
        if settings.database.echo:
            yield Problem("DB_ECHO", f"{where}: statements hold personal data")


def _sasl(settings: Settings) -> Iterator[Problem]:
    kafka = settings.kafka
    if settings.event_log != "kafka" or not kafka.security_protocol.startswith("SASL"):
        return
    for name, value in (("KAFKA_SASL_USERNAME", kafka.sasl_username), ("KAFKA_SASL_PASSWORD", kafka.sasl_password)):
        if not value:
            yield Problem(name, f"is needed with KAFKA_SECURITY_PROTOCOL={kafka.security_protocol}")


def _billing(settings: Settings) -> Iterator[Problem]:
    billing = settings.billing
    if billing.final_notice_days <= billing.reminder_days:
        yield Problem("BILLING_FINAL_NOTICE_DAYS", "must be above BILLING_REMINDER_DAYS: the reminder comes first")
    if billing.lapse_days <= billing.final_notice_days:
        yield Problem("BILLING_LAPSE_DAYS", "must be above BILLING_FINAL_NOTICE_DAYS: cover stops after the notice")


def _accounts(settings: Settings) -> Iterator[Problem]:
    mail, oidc = settings.mail, settings.oidc
    if mail.username is not None and mail.tls == "none":
        yield Problem("SMTP_TLS", "must not be none with SMTP_USERNAME: the password would cross the network in clear")
    for name, value in (("SMTP_PASSWORD", mail.password), ("SMTP_HOST", mail.host)):
        if mail.username is not None and value is None:
            yield Problem(name, "is needed with SMTP_USERNAME")
    if oidc.issuer is None:
        return
    if oidc.client_id is None:
        yield Problem("OIDC_CLIENT_ID", "is needed with OIDC_ISSUER")
    if urlsplit(oidc.issuer).scheme != "https" and settings.environment in {
        Environment.PRODUCTION,
        Environment.STAGING,
    }:
        yield Problem("OIDC_ISSUER", f"must begin with https:// in {settings.environment.value}")
    try:
        role_map(oidc.role_map)
    except ValueError as error:
        yield Problem("OIDC_ROLE_MAP", str(error))


def role_map(text: str) -> dict[str, str]:
    """Return group -> role of ``group=role,group=role``. Raises ``ValueError`` for another form."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        group, separator, role = part.rpartition("=")
        if not separator or not group.strip() or role.strip() not in OIDC_ROLES:
            raise ValueError(f"must be group=role by comma, roles of {', '.join(OIDC_ROLES)}")
        found[group.strip()] = role.strip()
    return found


def _addresses(settings: Settings) -> Iterator[Problem]:
    expected = {
        "DATABASE_URL": (settings.database.url, ("postgresql", "postgres")),
        "REDIS_URL": (settings.redis.url, ("redis", "rediss", "unix", "valkey", "valkeys")),
    }
    for name, (secret, schemes) in expected.items():
        if secret is None:
            continue
        scheme = secret.get_secret_value().partition("://")[0]
        if scheme.partition("+")[0] not in schemes or "://" not in secret.get_secret_value():
            yield Problem(name, f"must begin with {schemes[0]}:// (the value is not shown: it may hold a password)")


def _secrets(settings: Settings) -> Iterator[Problem]:
    environment = settings.environment.value
    key = settings.jwt.secret_key.get_secret_value()
    if key == DEVELOPMENT_JWT_SECRET:
        yield Problem("JWT_SECRET_KEY", f"is not set: {environment} refuses the development default")
    elif _is_placeholder(key):
        yield Problem("JWT_SECRET_KEY", "is still the example's placeholder")
    elif len(key.encode()) < MIN_SECRET_BYTES:
        yield Problem("JWT_SECRET_KEY", f"is shorter than {MIN_SECRET_BYTES} bytes; try: openssl rand -base64 48")
    for name, url in (("DATABASE_URL", settings.database.url), ("REDIS_URL", settings.redis.url)):
        if url is not None and _is_placeholder(_password(url.get_secret_value())):
            yield Problem(name, "its password is still the example's placeholder")


def _is_placeholder(value: str) -> bool:
    return any(word in value.lower() for word in _PLACEHOLDERS)


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
