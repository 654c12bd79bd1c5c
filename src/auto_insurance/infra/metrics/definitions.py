"""Every metric of the product, in one place.

Labels come from closed sets, never from ids. The mode of a gauge says how the values of several processes of one host
become one: ``livesum`` adds the living, ``mostrecent`` takes the value set last (one process at a time knows it).
The ``kafka_*`` names hold for the log in PostgreSQL too: dashboards must not care which engine runs.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry(auto_describe=False)

FAST_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds; for requests."""
QUERY_BUCKETS = (0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0)
"""Seconds; for statements."""
CACHE_BUCKETS = (0.00001, 0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1)
"""Seconds; a hit in process takes microseconds, one over the network up to milliseconds."""
BATCH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 30.0)
"""Seconds; for a batch of records in one transaction."""
END_TO_END_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
"""Seconds; from arrival to stored."""
SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 512, 1000)
"""Rows per model call."""

# Requests
HTTP_REQUESTS_TOTAL = Counter(
    "http_requests_total",
    "Requests answered, by method, route template and status.",
    ["method", "endpoint", "status"],
    registry=REGISTRY,
)
HTTP_REQUEST_DURATION_SECONDS = Histogram(
    "http_request_duration_seconds",
    "Seconds from the first byte of a request to the last byte of its answer.",
    ["method", "endpoint", "status"],
    buckets=FAST_BUCKETS,
    registry=REGISTRY,
)

# PostgreSQL
DB_QUERY_DURATION_SECONDS = Histogram(
    "db_query_duration_seconds",
    "Seconds that a statement took, by its kind and its first table.",
    ["query_type", "table"],
    buckets=QUERY_BUCKETS,
    registry=REGISTRY,
)
DB_SLOW_QUERIES_TOTAL = Counter("db_slow_queries_total", "Statements slower than DB_SLOW_QUERY_MS.", registry=REGISTRY)
DB_CONNECTION_POOL_SIZE = Gauge(
    "db_connection_pool_size",
    "Connections that the pools keep open at most, without overflow.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
DB_CONNECTION_POOL_CHECKED_OUT = Gauge(
    "db_connection_pool_checked_out",
    "Connections in use now.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
DB_CONNECTION_POOL_OVERFLOW = Gauge(
    "db_connection_pool_overflow",
    "Connections open beyond the size of the pools.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
DB_POOL_TIMEOUTS_TOTAL = Counter(
    "db_pool_timeouts_total", "Times that no connection came free within DB_POOL_TIMEOUT_S.", registry=REGISTRY
)
DB_TABLE_SIZE_BYTES = Gauge(
    "db_table_size_bytes",
    "Size of a table with its indexes, all partitions together.",
    ["table"],
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
DB_INDEX_HIT_RATIO = Gauge(
    "db_index_hit_ratio",
    "Share (0-1) of index blocks found in PostgreSQL's memory.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)

# Cache
CACHE_HITS_TOTAL = Counter("cache_hits_total", "Values found, by level.", ["cache_type"], registry=REGISTRY)
CACHE_MISSES_TOTAL = Counter("cache_misses_total", "Values not found, by level.", ["cache_type"], registry=REGISTRY)
CACHE_LATENCY_SECONDS = Histogram(
    "cache_latency_seconds",
    "Seconds that an operation on the cache took.",
    ["operation"],
    buckets=CACHE_BUCKETS,
    registry=REGISTRY,
)
CACHE_EVICTIONS_TOTAL = Counter(
    "cache_evictions_total", "Values dropped from the cache in process to make room.", registry=REGISTRY
)
CACHE_MEMORY_BYTES = Gauge(
    "cache_memory_bytes", "Memory that Redis uses.", registry=REGISTRY, multiprocess_mode="mostrecent"
)
CACHE_PURGES_UNCONFIRMED_TOTAL = Counter(
    "cache_purges_unconfirmed_total",
    "Purges that not every process confirmed in time; its answers may have been old for their last moments.",
    registry=REGISTRY,
)
REDIS_ERRORS_TOTAL = Counter(
    "redis_errors_total", "Commands that Redis did not answer; the product went on without it.", registry=REGISTRY
)

# The event log
KAFKA_CONSUMER_LAG_MESSAGES = Gauge(
    "kafka_consumer_lag_messages",
    "Records of a partition that a consumer group has not processed yet.",
    ["topic", "partition", "consumer_group"],
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
KAFKA_CONSUMER_LAG_SECONDS = Gauge(
    "kafka_consumer_lag_seconds",
    "Age of the oldest record of a topic that a consumer group has not processed yet; 0 when it is at the end.",
    ["topic", "consumer_group"],
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
KAFKA_MESSAGES_PROCESSED_TOTAL = Counter(
    "kafka_messages_processed_total", "Records processed, by outcome.", ["topic", "status"], registry=REGISTRY
)
KAFKA_MESSAGE_PROCESSING_SECONDS = Histogram(
    "kafka_message_processing_seconds",
    "Seconds from a batch of records to its commit.",
    ["topic"],
    buckets=BATCH_BUCKETS,
    registry=REGISTRY,
)
KAFKA_CONSUMER_ERRORS_TOTAL = Counter(
    "kafka_consumer_errors_total", "Batches that failed and were read again.", registry=REGISTRY
)
KAFKA_OFFSET_COMMITS_TOTAL = Counter(
    "kafka_offset_commits_total", "Partitions' offsets moved, with the rows that they stand for.", registry=REGISTRY
)

# Telemetry
EVENTS_INGESTED_TOTAL = Counter(
    "events_ingested_total",
    "Driving events at the door, by way in and answer.",
    ["source", "status"],
    registry=REGISTRY,
)
EVENTS_STORED_TOTAL = Counter("events_stored_total", "Driving events stored for the first time.", registry=REGISTRY)
EVENTS_WITHHELD_TOTAL = Counter(
    "events_withheld_total",
    "Driving events that were not stored, because the driver withholds consent or was erased.",
    registry=REGISTRY,
)
EVENT_END_TO_END_SECONDS = Histogram(
    "event_end_to_end_seconds",
    "Seconds from an upload's arrival in the log to the commit of its events.",
    buckets=END_TO_END_BUCKETS,
    registry=REGISTRY,
)
DEAD_LETTERS_TOTAL = Counter(
    "dead_letters_total", "Records and events that can never be processed, by reason.", ["reason"], registry=REGISTRY
)

# Risk model
ML_INFERENCE_DURATION_SECONDS = Histogram(
    "ml_inference_duration_seconds",
    "Seconds that one call of the risk model took.",
    ["model_type"],
    buckets=QUERY_BUCKETS,
    registry=REGISTRY,
)
ML_BATCH_SIZE = Histogram(
    "ml_batch_size", "Drivers or trips per model call.", ["model_type"], buckets=SIZE_BUCKETS, registry=REGISTRY
)
ML_PREDICTION_CACHE_HITS_TOTAL = Counter(
    "ml_prediction_cache_hits_total", "Predictions answered without calling the model.", registry=REGISTRY
)
ML_MODEL_LOAD_SECONDS = Gauge(
    "ml_model_load_seconds",
    "Seconds that loading the model in use took.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
ML_FEATURE_DRIFT = Gauge(
    "ml_feature_drift",
    "Population stability index of a feature against the model's training portfolio, last night; NaN: not known.",
    ["feature"],
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
ML_SCORE_DRIFT = Gauge(
    "ml_score_drift",
    "Population stability index of the predicted frequency against the training portfolio, last night.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
ML_ACTUAL_TO_EXPECTED = Gauge(
    "ml_actual_to_expected_claims",
    "Claims of the last year over those that the model expects of the same drivers; NaN without cover.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)

# Webhooks
WEBHOOK_ATTEMPTS_TOTAL = Counter(
    "webhook_attempts_total", "Deliveries tried, by what they are afterwards.", ["result"], registry=REGISTRY
)
WEBHOOK_ATTEMPT_SECONDS = Histogram(
    "webhook_attempt_seconds",
    "Seconds from the look-up of the receiver's name to its answer.",
    buckets=FAST_BUCKETS,
    registry=REGISTRY,
)
WEBHOOK_DELIVERIES = Gauge(
    "webhook_deliveries",
    "Deliveries that wait for webhooks that are on (pending), and those that were given up (dead).",
    ["state"],
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
WEBHOOK_OLDEST_DUE_SECONDS = Gauge(
    "webhook_oldest_due_seconds",
    "For how long the oldest waiting delivery has been due; 0 if none is.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
WEBHOOK_ENDPOINTS_DISABLED_TOTAL = Counter(
    "webhook_endpoints_disabled_total", "Webhooks switched off because they failed too long.", registry=REGISTRY
)

# Sign-in and audit log
LOGIN_FAILURES_TOTAL = Counter(
    "login_failures_total", "Sign-ins that were refused for a wrong name or password.", registry=REGISTRY
)
AUDIT_ROWS_WAITING = Gauge(
    "audit_rows_waiting",
    "Audit rows that are committed and not chained yet.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
AUDIT_LAST_VERIFIED_TIMESTAMP_SECONDS = Gauge(
    "audit_last_verified_timestamp_seconds",
    "Unix time of the last verification of the audit chain that found nothing wrong.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
AUDIT_CHAIN_FAULTS = Gauge(
    "audit_chain_faults",
    "Places where the last verification found the audit chain broken.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)

# The business
WEBSOCKET_CONNECTIONS_ACTIVE = Gauge(
    "websocket_connections_active", "Open live connections.", registry=REGISTRY, multiprocess_mode="livesum"
)
ACTIVE_DRIVERS_TOTAL = Gauge(
    "active_drivers_total",
    "Drivers whose account is active.",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
ACTIVE_TRIPS_TOTAL = Gauge("active_trips_total", "Trips under way.", registry=REGISTRY, multiprocess_mode="mostrecent")
EVENTS_PER_SECOND = Gauge(
    "events_per_second",
    "Driving events that the workers of this host stored per second, mean of the last minute.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
AVERAGE_RISK_SCORE = Gauge(
    "average_risk_score",
    "Mean of the drivers' current risk scores (0-100, 100 riskiest).",
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
