"""The groups of the settings, by theme; each leaf knows its flat environment name."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

PREFIX = "AUTO_INSURANCE_"
"""Every setting may be given as NAME or as AUTO_INSURANCE_NAME."""
DEVELOPMENT_JWT_SECRET = "dev-secret-key-change-in-production"  # noqa: S105 - known to all: production refuses it
MIB = 1024 * 1024


class Environment(StrEnum):
    """Where the product runs."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"
    TEST = "test"


def setting(env: str, default: Any, description: str, *, production: Any = None, **limits: Any) -> Any:
    """Declare a leaf: its environment name, default, meaning, and another default for production if it has one."""
    return Field(default, description=description, json_schema_extra={"env": env, "production": production}, **limits)


class Group(BaseModel):
    """Settings of one theme."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(Group):
    """The API's address and limits."""

    host: str = setting("HOST", "127.0.0.1", "Address that the API listens on.", min_length=1)
    port: int = setting("PORT", 8000, "Port that the API listens on.", ge=1, le=65535)
    forwarded_allow_ips: str = setting(
        "FORWARDED_ALLOW_IPS", "127.0.0.1", "Reverse proxies whose X-Forwarded-For is believed, by comma."
    )
    shutdown_timeout_s: float = setting(
        "SHUTDOWN_TIMEOUT_S", 20.0, "Seconds that a process may take to finish its work on SIGTERM.", gt=0, le=600
    )
    max_body_bytes: int = setting(
        "HTTP_MAX_BODY_BYTES", MIB, "Largest body of an ordinary request, unpacked.", ge=1024, le=64 * MIB
    )
    max_batch_bytes: int = setting(
        "HTTP_MAX_BATCH_BYTES", 16 * MIB, "Largest batch of driving events, unpacked.", ge=1024, le=64 * MIB
    )
    max_import_bytes: int = setting(
        "HTTP_MAX_IMPORT_BYTES", 64 * MIB, "Largest file of recorded drives, unpacked.", ge=1024, le=1024 * MIB
    )
    max_bytes_in_flight: int = setting(
        "HTTP_MAX_BYTES_IN_FLIGHT",
        64 * MIB,
        "Bytes of bodies that an API process holds at once; beyond that it answers 503 with Retry-After.",
        ge=MIB,
        le=4096 * MIB,
    )


class LogSettings(Group):
    """What the processes write to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting("LOG_LEVEL", "INFO", "Least level that is written.")
    format: Literal["json", "console"] = setting("LOG_FORMAT", "json", "One JSON object per line, or lines for people.")


class DatabaseSettings(Group):
    """PostgreSQL."""

    url: SecretStr | None = setting(
        "DATABASE_URL", None, "Address, postgresql://user:password@host:port/name; without it `up` runs its own server."
    )
    pool_size: int = setting(
        "DB_POOL_SIZE", 10, "Connections that each process keeps open.", production=20, ge=1, le=500
    )
    max_overflow: int = setting(
        "DB_MAX_OVERFLOW", 20, "Connections beyond the pool's size when it is busy.", production=40, ge=0, le=500
    )
    echo: bool = setting("DB_ECHO", False, "Write every statement to the log; refused in production.")
    connect_timeout_s: float = setting("DB_CONNECT_TIMEOUT_S", 10.0, "Seconds to wait for a connection.", gt=0, le=300)
    statement_timeout_s: float = setting(
        "DB_STATEMENT_TIMEOUT_S", 30.0, "Seconds after which a statement is cancelled.", gt=0, le=3600
    )
    pool_timeout_s: float = setting(
        "DB_POOL_TIMEOUT_S", 30.0, "Seconds to wait for a free connection of the pool.", gt=0, le=300
    )
    pool_recycle_s: int = setting(
        "DB_POOL_RECYCLE_S", 3600, "Seconds after which a connection is made anew.", ge=1, le=86400
    )
    idle_in_transaction_timeout_s: float = setting(
        "DB_IDLE_IN_TRANSACTION_TIMEOUT_S",
        15.0,
        "Seconds after which PostgreSQL ends a transaction that does nothing (a frozen worker's).",
        gt=0,
        le=3600,
    )
    lock_timeout_s: float = setting("DB_LOCK_TIMEOUT_S", 10.0, "Seconds to wait for a lock.", gt=0, le=3600)
    slow_query_ms: float = setting(
        "DB_SLOW_QUERY_MS", 500.0, "Milliseconds from which a statement counts as slow and is logged.", gt=0, le=600_000
    )


class RedisSettings(Group):
    """Redis or Valkey: cache, limits, live state. Away means slower, not broken."""

    url: SecretStr | None = setting(
        "REDIS_URL", None, "Address, redis://:password@host:port/0; without it `up` runs its own server."
    )
    max_connections: int = setting("REDIS_MAX_CONNECTIONS", 50, "Connections per process at most.", ge=1, le=10_000)
    timeout_s: float = setting(
        "REDIS_TIMEOUT_S", 1.0, "Seconds to wait for an answer before going on without.", gt=0, le=60
    )


class KafkaSettings(Group):
    """The event log's consumers; with EVENT_LOG=kafka also where the brokers are."""

    bootstrap_servers: str | None = setting(
        "KAFKA_BOOTSTRAP_SERVERS", None, "Brokers, host:port by comma; needed with EVENT_LOG=kafka."
    )
    client_id: str = setting(
        "KAFKA_CLIENT_ID",
        "auto-insurance",
        "What brokers call us in their logs and quotas.",
        pattern=r"^[A-Za-z0-9_.-]{1,200}$",
    )
    replication_factor: int = setting(
        "KAFKA_REPLICATION_FACTOR",
        1,
        "Copies of each topic that we create; an answer of 202 waits for all but one of them, for one at least.",
        production=3,
        ge=1,
        le=10,
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        "KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", "How brokers are spoken to; over a network SASL_SSL or SSL."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = setting(
        "KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", "How we sign in to the brokers with SASL."
    )
    sasl_username: str | None = setting("KAFKA_SASL_USERNAME", None, "Our name with SASL.")
    sasl_password: SecretStr | None = setting("KAFKA_SASL_PASSWORD", None, "Our password with SASL.")
    ssl_ca_location: str | None = setting(
        "KAFKA_SSL_CA_LOCATION", None, "File of the authorities that sign the brokers' certificates; else the system's."
    )
    consumer_group: str = setting(
        "KAFKA_CONSUMER_GROUP",
        "telematics-consumers-v2",
        "Consumer group of the telemetry workers.",
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
    )
    num_consumers: int = setting(
        "KAFKA_NUM_CONSUMERS", 1, "Consumers of that group that one worker runs, each a process.", ge=1, le=64
    )
    instance_id: str | None = setting(
        "KAFKA_INSTANCE_ID",
        None,
        "Name of this worker that stays over restarts and is no other's: its consumers are static members on Kafka.",
        pattern=r"^[A-Za-z0-9_.-]{1,200}$",
    )
    max_backlog: int = setting(
        "KAFKA_MAX_BACKLOG",
        20_000_000,
        "Records of a topic that consumers have not read yet, above which uploads are refused with 503.",
        ge=1,
    )
    batch_records: int = setting(
        "KAFKA_BATCH_RECORDS", 10_000, "Records that a consumer stores in one transaction at most.", ge=1, le=100_000
    )
    batch_bytes: int = setting(
        "KAFKA_BATCH_BYTES", 4 * MIB, "Bytes of records above which a batch is closed.", ge=64 * 1024, le=64 * MIB
    )
    batch_wait_ms: int = setting(
        "KAFKA_BATCH_WAIT_MS", 100, "Milliseconds that a batch which is not full waits for company.", ge=0, le=1000
    )
    session_timeout_s: float = setting(
        "KAFKA_SESSION_TIMEOUT_S",
        20.0,
        "Seconds of silence after which a consumer's partitions go to others; above DB_IDLE_IN_TRANSACTION_TIMEOUT_S.",
        ge=1,
        le=300,
    )


class JwtSettings(Group):
    """Signed-in users' tokens."""

    secret_key: SecretStr = setting(
        "JWT_SECRET_KEY", SecretStr(DEVELOPMENT_JWT_SECRET), "Signs access tokens; at least 32 bytes in production."
    )
    algorithm: Literal["HS256", "HS384", "HS512"] = setting("JWT_ALGORITHM", "HS256", "How access tokens are signed.")
    expire_minutes: int = setting("JWT_EXPIRE_MINUTES", 1440, "Life of an access token.", ge=1, le=43_200)
    refresh_days: int = setting("JWT_REFRESH_DAYS", 30, "Life of a refresh token.", ge=1, le=365)


class CacheSettings(Group):
    """How long answers are kept."""

    ttl_default_s: int = setting("CACHE_TTL_DEFAULT", 300, "Seconds that a cached answer lives.", ge=1, le=86_400)
    ttl_risk_score_s: int = setting(
        "CACHE_TTL_RISK_SCORE", 3600, "Seconds that a cached risk score lives.", ge=1, le=86_400
    )


class MlSettings(Group):
    """The risk model."""

    batch_size: int = setting("ML_BATCH_SIZE", 32, "Requests scored in one call of the model at most.", ge=1, le=10_000)
    micro_batching: bool = setting(
        "ML_MICRO_BATCHING", False, "Put online predictions of a moment together into one call of the model."
    )
    batch_wait_ms: float = setting(
        "ML_BATCH_WAIT_MS", 2.0, "Milliseconds that a prediction waits for company.", ge=0.1, le=1000.0
    )
    predictions_remembered: int = setting(
        "ML_PREDICTION_CACHE", 10_000, "Predictions that a process remembers.", ge=1, le=1_000_000
    )
    window_days: int = setting("RISK_WINDOW_DAYS", 365, "Days of driving that a risk score rests on.", ge=30, le=3660)
    nightly_hour: int = setting("RISK_NIGHTLY_HOUR", 3, "Hour of the day (UTC) when everybody is scored.", ge=0, le=23)
    debounce_s: float = setting(
        "RISK_DEBOUNCE_S",
        2.0,
        "Seconds that a driver's score waits for more trips of the moment; 0 scores with each batch of trips.",
        ge=0,
        le=300,
    )
    allow_simulated: bool = setting(
        "ALLOW_SIMULATED_MODELS",
        False,
        "In production, let scores price that rest on simulated or assumed claims. Elsewhere they may.",
    )


class MetricsSettings(Group):
    """Prometheus."""

    enabled: bool = setting("ENABLE_METRICS", True, "Serve metrics.")
    port: int = setting("METRICS_PORT", 9090, "Port for the metrics of a process that runs alone.", ge=1, le=65535)


class TelematicsSettings(Group):
    """Which driving events are taken."""

    late_window_days: int = setting(
        "LATE_WINDOW_DAYS", 30, "Days after which an event is refused, except by an import.", ge=1, le=3660
    )
    clock_skew_max_s: int = setting(
        "CLOCK_SKEW_MAX_S", 300, "Seconds that a device's clock may be ahead.", ge=0, le=86_400
    )
    device_key_cache_s: float = setting(
        "DEVICE_KEY_CACHE_SECONDS",
        30.0,
        "Seconds that the check of a device key counts: a revoked key is refused everywhere after this.",
        ge=0,
        le=3600,
    )
    device_key_stale_s: float = setting(
        "DEVICE_KEY_STALE_SECONDS",
        900.0,
        "Seconds after its last check that a device key goes on working while the database is away.",
        ge=0,
        le=86_400,
    )


class RetentionSettings(Group):
    """How long driving events stay in the database, and where they go then."""

    months: int = setting(
        "RETENTION_MONTHS",
        12,
        "Whole months of driving events that stay in the database beside the current one; older ones are written to "
        "ARCHIVE_DIR. 0 keeps all, otherwise 4 or more.",
        ge=0,
        le=1200,
    )
    archive_dir: Path | None = setting(
        "ARCHIVE_DIR",
        None,
        "Folder of archived months; without it `archive` in DATA_DIR. API and scheduler must share it.",
    )
    quiet_days: int = setting(
        "RETENTION_QUIET_DAYS",
        30,
        "Days after the last arrival of an event, or its restoration, that an old month is left in the database.",
        ge=0,
        le=3660,
    )


class TripSettings(Group):
    """How driving events become trips."""

    settle_s: int = setting(
        "TRIP_SETTLE_S", 30, "Seconds without news of a device before silence ends its trip.", ge=0, le=3600
    )


class PricingSettings(Group):
    """Prices and quotes."""

    quote_days: int = setting("QUOTE_DAYS", 30, "Days that a quote holds.", ge=1, le=365)
    quotes_per_minute: int = setting(
        "QUOTES_PER_MINUTE", 30, "Quotes that one address may ask for in a minute.", ge=1, le=10_000
    )


class LoginSettings(Group):
    """Signing in."""

    failures_per_minute: int = setting(
        "LOGIN_FAILURES_PER_MINUTE", 5, "Failed logins per address and account before 429.", ge=1, le=1000
    )
    failures_per_account: int = setting(
        "LOGIN_FAILURES_PER_ACCOUNT", 20, "Failed logins of an account in 5 minutes, from all addresses.", ge=5, le=1000
    )
    failures_per_address: int = setting(
        "LOGIN_FAILURES_PER_ADDRESS", 50, "Failed logins from an address in 5 minutes, all accounts.", ge=5, le=10_000
    )
    admin_password: SecretStr | None = setting(
        "ADMIN_PASSWORD", None, "Creates the account `admin` with this password where there is no administrator yet."
    )


class BillingSettings(Group):
    """Invoices, reminders and statements of miles."""

    instalments: Literal["annual", "half_yearly", "quarterly", "monthly"] = setting(
        "BILLING_INSTALMENTS", "monthly", "How a term is paid for where nobody chose."
    )
    instalment_fee: Decimal = setting(
        "BILLING_INSTALMENT_FEE",
        Decimal(0),
        "Added to each instalment of a term that is not paid at once, in the plan's currency.",
        ge=0,
        le=1000,
        decimal_places=2,
    )
    lead_days: int = setting(
        "BILLING_LEAD_DAYS", 14, "Days between an invoice and its due date, at least.", ge=1, le=90
    )
    reminder_days: int = setting(
        "BILLING_REMINDER_DAYS", 7, "Days after the due date when an unpaid invoice is reminded of.", ge=1, le=365
    )
    final_notice_days: int = setting(
        "BILLING_FINAL_NOTICE_DAYS",
        14,
        "Days after the due date of the final notice; above the reminder's.",
        ge=2,
        le=365,
    )
    lapse_days: int = setting(
        "BILLING_LAPSE_DAYS", 30, "Days after the due date when cover stops; above the final notice's.", ge=3, le=365
    )
    settle_days: int = setting(
        "BILLING_SETTLE_DAYS", 5, "Days after a month's end that late trips have until its statement.", ge=0, le=28
    )
    callback_secret: SecretStr | None = setting(
        "PAYMENT_CALLBACK_SECRET", None, "Signs what the payment provider tells; without it callbacks are refused."
    )
