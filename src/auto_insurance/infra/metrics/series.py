"""The closed sets behind the labels, and the first sight of every series at 0."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from prometheus_client import Gauge

from auto_insurance.contracts import topics
from auto_insurance.infra.config.process_env import multiprocess_dir
from auto_insurance.infra.metrics import definitions as m
from auto_insurance.infra.metrics.processes import register_process

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
OTHER = "other"
UNMATCHED = "unmatched"
"""The ``endpoint`` of a request that no route took."""

QUERY_TYPES = ("select", "insert", "update", "delete", "copy")
CACHE_TYPES = ("l1", "l2")
CACHE_OPERATIONS = ("get", "set", "delete")
RECORD_STATUSES = ("ok", "duplicate", "dead")
"""The outcomes of a step that end a record (``kernel.outcome``); one that is read again counts as an error."""
INGEST_SOURCES = ("http", "import", "log")
INGEST_STATUSES = ("accepted", "rejected")
MODEL_TYPES = ("scorecard", "tables")
WEBHOOK_RESULTS = ("delivered", "failed", "dead")
WEBHOOK_STATES = ("pending", "dead")
DEAD_LETTER_REASONS = (
    "malformed",
    "invalid",
    "unknown_device",
    "no_driver_assigned",
    "month_archived",
    "handler_error",
    "unknown_topic",
)

_TEMPLATE_PARAMETER = re.compile(r"\{([^}:]+):[^}]*\}")


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """What a process will count; composed at start from what is installed.

    ``routes`` are (method, route template, status of success); ``groups`` map a consumer group to its topics.
    """

    routes: Sequence[tuple[str, str, int]] = ()
    tables: Sequence[str] = ()
    groups: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"telematics-consumers-v2": (topics.TELEMATICS_EVENTS,)}
    )
    dead_letter_reasons: Sequence[str] = DEAD_LETTER_REASONS
    features: Sequence[str] = ()
    """Features of the risk model."""


def init_series(plan: SeriesPlan | None = None, *, role: str = "api") -> None:
    """Make every series visible at 0 before its first use.

    ``role`` (api, worker, scheduler...) labels this process's own CPU and memory. May be called again: counts stay.
    """
    plan = plan or SeriesPlan()
    register_process(role)
    for method, endpoint, status in plan.routes:
        labels = (method_label(method), endpoint_label(endpoint), str(status))
        m.HTTP_REQUESTS_TOTAL.labels(*labels)
        m.HTTP_REQUEST_DURATION_SECONDS.labels(*labels)
    m.HTTP_REQUESTS_TOTAL.labels("GET", UNMATCHED, "404")
    m.HTTP_REQUEST_DURATION_SECONDS.labels("GET", UNMATCHED, "404")
    _init_storage(plan.tables)
    _init_log(plan)
    for model_type in MODEL_TYPES:
        m.ML_INFERENCE_DURATION_SECONDS.labels(model_type)
        m.ML_BATCH_SIZE.labels(model_type)
    for result in WEBHOOK_RESULTS:
        m.WEBHOOK_ATTEMPTS_TOTAL.labels(result)
    for state in WEBHOOK_STATES:
        m.WEBHOOK_DELIVERIES.labels(state)
    for feature in plan.features:
        m.ML_FEATURE_DRIFT.labels(feature)


def _init_storage(tables: Iterable[str]) -> None:
    for table in (*tables, OTHER):
        m.DB_TABLE_SIZE_BYTES.labels(table)
        for query_type in QUERY_TYPES:
            m.DB_QUERY_DURATION_SECONDS.labels(query_type, table)
    m.DB_QUERY_DURATION_SECONDS.labels(OTHER, OTHER)
    for level in CACHE_TYPES:
        m.CACHE_HITS_TOTAL.labels(level)
        m.CACHE_MISSES_TOTAL.labels(level)
    for operation in CACHE_OPERATIONS:
        m.CACHE_LATENCY_SECONDS.labels(operation)


def _init_log(plan: SeriesPlan) -> None:
    partitions = {spec.name: spec.partitions for spec in topics.ALL}
    for group, names in plan.groups.items():
        for topic in names:
            m.KAFKA_CONSUMER_LAG_SECONDS.labels(topic, group)
            for partition in range(partitions.get(topic, 1)):
                m.KAFKA_CONSUMER_LAG_MESSAGES.labels(topic, str(partition), group)
    for topic in partitions:
        m.KAFKA_MESSAGE_PROCESSING_SECONDS.labels(topic)
        for status in RECORD_STATUSES:
            m.KAFKA_MESSAGES_PROCESSED_TOTAL.labels(topic, status)
    for source in INGEST_SOURCES:
        for status in INGEST_STATUSES:
            m.EVENTS_INGESTED_TOTAL.labels(source, status)
    for reason in plan.dead_letter_reasons:
        m.DEAD_LETTERS_TOTAL.labels(reason)


def remove_series(gauge: Gauge, *labels: str) -> None:
    """Stop showing what this process knows no more, such as the lag of a partition that another one reads now.

    Between processes that share a folder the value stays until its new owner sets it: the last one set is shown.
    """
    if multiprocess_dir() is None:
        with suppress(KeyError):
            gauge.remove(*labels)


def method_label(method: str) -> str:
    """Return the method, or ``other``: a client may send any word."""
    return method if method in METHODS else OTHER


def endpoint_label(template: str) -> str:
    """Return a route template without the types of its parameters (``/a/{b:path}`` becomes ``/a/{b}``)."""
    return _TEMPLATE_PARAMETER.sub(r"{\1}", template)
