"""What can be tuned about the PostgreSQL engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PostgresLogOptions:
    """Sizes and times; seconds and bytes as the names say."""

    pool_size: int = 6
    connect_timeout_s: float = 2.0
    statement_timeout_s: float = 5.0
    """Longest wait for one statement, on both sides of the connection."""
    append_timeout_s: float = 4.0
    """Longest wait of one ``append``; then it fails as unavailable."""
    refuse_s: float = 0.5
    """How long appends are refused at once after one has failed for want of a database."""
    max_queued_bytes: int = 64 * 1024 * 1024
    max_queued_records: int = 50_000
    flush_bytes: int = 8 * 1024 * 1024
    flush_records: int = 2_000
    max_backlog_records: int = 20_000_000
    """Unread records per topic above which appends are refused."""
    max_backlog_bytes: int = 8 * 1024**3
    backlog_refresh_s: float = 1.0
    notify_interval_s: float = 0.01
    """Least time between two NOTIFY of one process: each of them takes a lock that all of PostgreSQL shares."""
    poll_interval_s: float = 0.5
    """How often a consumer looks without having been woken."""
    fetch_bytes: int = 16 * 1024 * 1024
    """A poll returns at most about this much, and at least one record."""
    session_timeout_s: float = 20.0
    """A member silent for so long loses its partitions. Above ``idle_in_transaction_session_timeout`` of the engine, so
    that a member frozen inside its transaction has lost that by then."""
    heartbeat_s: float = 4.0
    rebalance_s: float = 2.0
    max_poll_interval_s: float = 300.0
    """A member that does not poll for so long is no longer kept alive."""
    segment_age_s: float = 6 * 3600.0
    segment_bytes: int = 2 * 1024**3
    roll_check_s: float = 60.0
