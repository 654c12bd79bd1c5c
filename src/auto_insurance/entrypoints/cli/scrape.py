"""Reads what the live table needs from ``/metrics``."""

from __future__ import annotations

import time
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from auto_insurance.contracts.topics import TELEMATICS_EVENTS


@dataclass(slots=True)
class Scrape:
    """One look. ``at`` is a monotonic time in seconds; sums and counts since the start of the processes."""

    at: float
    events_stored: float = 0.0
    lag: float = 0.0
    end_to_end_sum: float = 0.0
    end_to_end_count: float = 0.0


async def scrape(base_url: str) -> Scrape:
    """Look once. Raises ``httpx.HTTPError``."""
    async with httpx.AsyncClient(timeout=10.0, trust_env=False) as client:
        answer = await client.get(f"{base_url}/metrics")
        answer.raise_for_status()
    return parse(answer.text)


def parse(text: str) -> Scrape:
    """Return the figures in a text of Prometheus's format."""
    found = Scrape(time.monotonic())
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "events_stored_total":
                found.events_stored += sample.value
            elif sample.name == "kafka_consumer_lag_messages" and sample.labels["topic"] == TELEMATICS_EVENTS:
                found.lag += sample.value
            elif sample.name == "event_end_to_end_seconds_sum":
                found.end_to_end_sum += sample.value
            elif sample.name == "event_end_to_end_seconds_count":
                found.end_to_end_count += sample.value
    return found
