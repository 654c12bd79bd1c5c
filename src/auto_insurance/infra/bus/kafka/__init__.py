"""The event log on Apache Kafka: see :class:`auto_insurance.infra.bus.kafka.log.KafkaLog`."""

from __future__ import annotations

from auto_insurance.infra.bus.kafka.log import KafkaLog
from auto_insurance.infra.bus.kafka.options import KafkaLogOptions

__all__ = ["KafkaLog", "KafkaLogOptions"]
