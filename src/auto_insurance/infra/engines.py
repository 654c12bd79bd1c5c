"""From settings to the engines underneath: where the database is, and which engine keeps the event log."""

from __future__ import annotations

from collections.abc import Mapping

from auto_insurance.infra.bus import offsets
from auto_insurance.infra.bus.kafka import KafkaLog, KafkaLogOptions
from auto_insurance.infra.bus.postgres import PostgresLog, PostgresLogOptions
from auto_insurance.infra.bus.protocol import EventLog
from auto_insurance.infra.config import Settings
from auto_insurance.infra.db.engine import EngineOptions
from auto_insurance.infra.db.uow import Database


class NotConfigured(Exception):
    """A setting is missing or asks for something that this version does not have; the text says which."""


def database_url(settings: Settings) -> str:
    """Return the database's address. Raises ``NotConfigured``."""
    if settings.database.url is None:
        raise NotConfigured("DATABASE_URL is not set; `auto-insurance up` runs its own PostgreSQL")
    return settings.database.url.get_secret_value()


def engine_options(settings: Settings, role: str) -> EngineOptions:
    """Return the pool's options for a process of this role."""
    db = settings.database
    return EngineOptions(
        url=database_url(settings),
        pool_size=db.pool_size,
        max_overflow=db.max_overflow,
        pool_timeout_s=db.pool_timeout_s,
        pool_recycle_s=db.pool_recycle_s,
        connect_timeout_s=db.connect_timeout_s,
        statement_timeout_ms=round(db.statement_timeout_s * 1000),
        idle_in_transaction_timeout_ms=round(db.idle_in_transaction_timeout_s * 1000),
        lock_timeout_ms=round(db.lock_timeout_s * 1000),
        echo=db.echo,
        application_name=f"auto-insurance-{role}",
    )


def log_engine(settings: Settings, database: Database) -> EventLog:
    """Return the engine that the settings choose. Raises ``NotConfigured``."""
    if settings.event_log == "postgres":
        return PostgresLog(database_url(settings), _postgres_options(settings))

    async def floors(topic: str, topic_id: str) -> Mapping[int, int]:
        async with database.read() as uow:
            return await offsets.floors(uow, topic, topic_id)

    return KafkaLog(kafka_options(settings), floors)


def _postgres_options(settings: Settings) -> PostgresLogOptions:
    session_s = settings.kafka.session_timeout_s
    return PostgresLogOptions(
        session_timeout_s=session_s,
        heartbeat_s=session_s / 5,
        rebalance_s=min(2.0, session_s / 5),
        max_backlog_records=settings.kafka.max_backlog,
    )


def kafka_options(settings: Settings) -> KafkaLogOptions:
    """Return how to reach the brokers. Raises ``NotConfigured``."""
    kafka = settings.kafka
    if not kafka.bootstrap_servers:
        raise NotConfigured("KAFKA_BOOTSTRAP_SERVERS is not set; EVENT_LOG=kafka needs it")
    properties: dict[str, str] = {"security.protocol": kafka.security_protocol}
    if kafka.ssl_ca_location:
        properties["ssl.ca.location"] = kafka.ssl_ca_location
    if kafka.security_protocol.startswith("SASL"):
        properties["sasl.mechanism"] = kafka.sasl_mechanism
        properties["sasl.username"] = kafka.sasl_username or ""
        properties["sasl.password"] = kafka.sasl_password.get_secret_value() if kafka.sasl_password else ""
    return KafkaLogOptions(
        kafka.bootstrap_servers,
        client_id=kafka.client_id,
        properties=properties,
        replication_factor=kafka.replication_factor,
        session_timeout_s=kafka.session_timeout_s,
        heartbeat_s=min(3.0, kafka.session_timeout_s / 5),
        static_members=kafka.instance_id is not None,
        max_backlog_records=kafka.max_backlog,
    )
