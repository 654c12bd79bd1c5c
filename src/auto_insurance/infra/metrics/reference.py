"""The reference page of the metrics, made from their definitions."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase

from auto_insurance.infra.metrics import definitions
from auto_insurance.infra.metrics.processes import HostCollector


def render_markdown() -> str:
    """Return the page ``docs/reference/metrics.md``."""
    lines = [
        "# Metrics",
        "",
        "Generated from `auto_insurance.infra.metrics`. `GET /metrics` shows them in Prometheus's text format: of all",
        "processes of this host's `up`, or of one process on `METRICS_PORT` when it runs alone. The `kafka_*` names",
        "hold for the event log in PostgreSQL too.",
        "",
        "| name | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for name, (kind, labels, help_text) in sorted(catalogue().items()):
        lines.append(f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels) or '-'} | {help_text} |")
    return "\n".join(lines) + "\n"


def catalogue() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Return name -> (type, labels, help) of every metric, names as they are shown."""
    found: dict[str, tuple[str, tuple[str, ...], str]] = {}
    for wrapper in vars(definitions).values():
        if isinstance(wrapper, MetricWrapperBase):
            metric = next(iter(wrapper.describe()))
            found[_shown(metric)] = (metric.type, tuple(wrapper._labelnames), metric.documentation)
    for metric in HostCollector().collect():
        labels = tuple(metric.samples[0].labels) if metric.samples else ()
        found[_shown(metric)] = (metric.type, labels, metric.documentation)
    return found


def _shown(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name
