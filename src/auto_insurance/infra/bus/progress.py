"""How far a consumer has come on each of its partitions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from auto_insurance.infra import metrics
from auto_insurance.infra.bus.offsets import Claim
from auto_insurance.infra.bus.protocol import Record, TopicPartition

log = structlog.get_logger(__name__)
_WARN_EVERY_S = 60.0
_NEVER = 1 << 63


@dataclass(frozen=True, slots=True)
class Lag:
    """What a consumer has not handled yet: records of all its partitions, and the age of the oldest in seconds."""

    messages: int
    seconds: float
    partitions: int


class Progress:
    """Claims, the instants up to which all is done, and the lag metrics made of them."""

    def __init__(self, group: str, warn_above: int) -> None:
        self._group = group
        self._warn_above = warn_above
        self._warned_at = -_WARN_EVERY_S
        self._caught_up: dict[TopicPartition, datetime] = {}
        self.claims: dict[TopicPartition, Claim] = {}
        self.lag = Lag(0, 0.0, 0)

    def assigned(self, claims: Mapping[TopicPartition, Claim]) -> None:
        """These are ours now."""
        self.claims.update(claims)

    def revoked(self, tps: Iterable[TopicPartition]) -> None:
        """These are not ours any more."""
        for tp in tps:
            self.claims.pop(tp, None)
            self._caught_up.pop(tp, None)
            metrics.remove_series(metrics.KAFKA_CONSUMER_LAG_MESSAGES, tp.topic, str(tp.partition), self._group)

    def positions(self) -> dict[TopicPartition, int]:
        """Return the next offset to read of each partition."""
        return {tp: claim.next_offset for tp, claim in self.claims.items()}

    def fresh(self, records: list[Record]) -> list[Record]:
        """Return what is ours and not done yet: the same list if that is all.

        What was read ahead may have been read again since, or its partition may be another's by now.
        """
        due: dict[tuple[str, int], int] = {}
        late: set[int] = set()
        for number, record in enumerate(records):
            key = (record.topic, record.partition)
            if (next_offset := due.get(key)) is None:
                claim = self.claims.get(TopicPartition(*key))
                next_offset = _NEVER if claim is None else claim.next_offset
            if record.offset < next_offset:
                late.add(number)
                due[key] = next_offset
            else:
                due[key] = record.offset + 1
        return [r for number, r in enumerate(records) if number not in late] if late else records

    def advanced(self, lasts: Mapping[TopicPartition, Record]) -> None:
        """All up to these is handled and committed."""
        for tp, record in lasts.items():
            self.claims[tp] = Claim(record.offset + 1, self.claims[tp].epoch)
            self._reach(tp, record.appended_at)

    def looked(self, ends: Mapping[TopicPartition, int], at: datetime) -> None:
        """The log's ends were these, ``at`` being an instant before they were read."""
        lags = {tp: max(0, end - self.claims[tp].next_offset) for tp, end in ends.items() if tp in self.claims}
        behind: dict[str, float] = {tp.topic: 0.0 for tp in lags}
        for tp, lag in lags.items():
            if lag == 0:
                self._reach(tp, at)
            elif tp in self._caught_up:
                age = (at - self._caught_up[tp]).total_seconds()
                behind[tp.topic] = max(behind[tp.topic], age)
            metrics.KAFKA_CONSUMER_LAG_MESSAGES.labels(tp.topic, str(tp.partition), self._group).set(lag)
        for topic, seconds in behind.items():
            metrics.KAFKA_CONSUMER_LAG_SECONDS.labels(topic, self._group).set(seconds)
        self.lag = Lag(sum(lags.values()), max(behind.values(), default=0.0), len(lags))
        self._warn()

    def caught_up(self) -> dict[TopicPartition, datetime]:
        """Return the instants up to which every record that had arrived is done; nothing for what is not known yet."""
        return dict(self._caught_up)

    def _reach(self, tp: TopicPartition, at: datetime) -> None:
        before = self._caught_up.get(tp)
        self._caught_up[tp] = at if before is None else max(before, at)

    def _warn(self) -> None:
        if self.lag.messages > self._warn_above and time.monotonic() - self._warned_at >= _WARN_EVERY_S:
            self._warned_at = time.monotonic()
            log.warning(
                "consumer_lag_high",
                group=self._group,
                lag_messages=self.lag.messages,
                lag_seconds=round(self.lag.seconds, 1),
            )
