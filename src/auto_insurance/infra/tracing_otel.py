"""Spans by OpenTelemetry, sent as OTLP over HTTP by a thread of its own. Imported only when tracing is on."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from auto_insurance.infra.config.groups_tracing import TracingSettings
from auto_insurance.infra.tracing import Attributes

MAX_QUEUED, MAX_BATCH, EVERY_MS = 2048, 256, 2000
"""Spans beyond the queue are dropped: tracing never holds up work."""
_KINDS = {"server": SpanKind.SERVER, "producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER}
_w3c = TraceContextTextMapPropagator()


class OtelTraces:
    """Implements :class:`auto_insurance.infra.tracing.Backend`."""

    def __init__(self, settings: TracingSettings, role: str) -> None:
        resource = Resource.create({"service.name": settings.service_name, "service.instance.role": role})
        sampler = ParentBased(TraceIdRatioBased(settings.sample_ratio))
        self._provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{settings.endpoint.rstrip('/')}/v1/traces", timeout=settings.timeout_s)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=MAX_QUEUED,
                max_export_batch_size=MAX_BATCH,
                schedule_delay_millis=EVERY_MS,
            )
        )
        self._tracer: Tracer = self._provider.get_tracer("auto_insurance")

    def start(self, name: str, kind: str, parent: str | None, attributes: Attributes) -> OtelPiece:
        """Begin a span; without a parent it begins a trace, which the sampler may leave out."""
        context = _w3c.extract({"traceparent": parent} if parent else {})
        span = self._tracer.start_span(
            name, context=context, kind=_KINDS.get(kind, SpanKind.INTERNAL), attributes=dict(attributes)
        )
        return OtelPiece(span)

    def close(self) -> None:
        """Send what is queued and stop the thread."""
        self._provider.shutdown()


class OtelPiece:
    """Implements :class:`auto_insurance.infra.tracing.Span`."""

    def __init__(self, span: OtelSpan) -> None:
        self._span = span
        context = span.get_span_context()
        sampled = context.trace_flags.sampled
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-01" if sampled else None

    def end(self, name: str | None = None, attributes: Attributes | None = None, error: str | None = None) -> None:
        """End the span."""
        if name is not None:
            self._span.update_name(name)
        if attributes:
            self._span.set_attributes(dict(attributes))
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()
