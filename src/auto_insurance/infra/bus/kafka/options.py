"""What can be tuned about the Kafka engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KafkaLogOptions:
    """Where the brokers are; sizes and times, seconds and bytes as the names say."""

    bootstrap_servers: str
    """host:port by comma."""
    client_id: str = "auto-insurance"
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    """More settings of librdkafka for all clients, such as ``security.protocol`` and ``sasl.*``; they may hold
    passwords. Those that exactly-once storage rests on can't be changed with them."""
    replication_factor: int = 1
    """Copies of each topic that we create. An append is durable on all but one of them, on one at least."""
    request_timeout_s: float = 3.0
    """Longest wait for one answer about topics and offsets."""
    append_timeout_s: float = 4.0
    """Longest wait of one ``append``; then it fails as unavailable."""
    refuse_s: float = 0.5
    """How long appends are refused at once after one has failed for want of a broker."""
    linger_s: float = 0.002
    """How long the producer waits for company for a record."""
    compression: str = "lz4"
    max_queued_bytes: int = 64 * MIB
    max_queued_records: int = 50_000
    max_published_bytes: int = 2 * MIB
    """Largest record of the product itself: a dead letter quotes a whole record, and more."""
    max_backlog_records: int = 20_000_000
    """Records of a topic that some group has not read, above which appends are refused."""
    backlog_refresh_s: float = 1.0
    prefetch_bytes: int = 4 * MIB
    """What one consumer holds in memory ahead of its polls; above it, fetching pauses."""
    fetch_bytes: int = 1 * MIB
    """The largest answer to one fetch, compressed. It may unpack to many times that, and comes on top of
    ``prefetch_bytes``. Not below ``max_published_bytes``."""
    fetch_partition_bytes: int = MIB // 8
    """The same of one partition; a larger record still comes, alone."""
    prefetch_records: int = 10_000
    fetch_wait_s: float = 0.25
    session_timeout_s: float = 20.0
    """A member silent for so long loses its partitions. Above ``idle_in_transaction_session_timeout`` of the engine, so
    that a member frozen inside its transaction has lost that by then."""
    heartbeat_s: float = 3.0
    join_wait_s: float = 2.0
    """How long the first poll of a member may wait for its partitions, beyond its own time."""
    leave_timeout_s: float = 3.0
    """How long leaving a group may take; a broker that is away finds out by the session time-out."""
    max_poll_interval_s: float = 300.0
    """A member that does not poll for so long loses its partitions."""
    drain_timeout_s: float = 60.0
    """How long the group waits, when partitions go to others, for the transaction that is under way. Below
    ``max_poll_interval_s``; the compare-and-set on the offset guards what comes later still."""
    static_members: bool = False
    """Members keep their partitions over a restart within the session time-out; their names must then be stable."""
    tell_interval_s: float = 1.0
    """How often a consumer tells Kafka how far it is, for lag tools."""
