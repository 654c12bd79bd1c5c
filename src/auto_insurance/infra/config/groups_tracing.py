"""Settings of tracing."""

from __future__ import annotations

from auto_insurance.infra.config.groups import Group, setting


class TracingSettings(Group):
    """Traces for OpenTelemetry; needs the extra `tracing`."""

    enabled: bool = setting("OTEL_ENABLED", False, "Send traces. Off, nothing of OpenTelemetry is even imported.")
    endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://127.0.0.1:4318",
        "Collector, OTLP over HTTP; spans go to /v1/traces there.",
        pattern=r"^https?://[^\s@]+$",
    )
    service_name: str = setting("OTEL_SERVICE_NAME", "auto-insurance", "Name of the product in traces.", min_length=1)
    sample_ratio: float = setting(
        "OTEL_TRACES_SAMPLER_ARG", 0.01, "Share of requests that are traced, uploads included.", ge=0, le=1
    )
    timeout_s: float = setting(
        "OTEL_EXPORTER_OTLP_TIMEOUT_S", 5.0, "Seconds that the collector may take; then spans are dropped.", gt=0, le=60
    )
