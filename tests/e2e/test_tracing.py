"""One upload is one trace, from the door over the log and the worker to the score, over several processes."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from auto_insurance.kernel import clock
from auto_insurance.kernel.clock import to_us
from tests.support.driving import day_out
from tests.support.installations import NewSystem
from tests.support.system import wait_for

pytest.importorskip("opentelemetry.sdk", reason="needs the extra `tracing`")
from tests.support.otlp import Collector, Seen, collecting

WAY = {
    "POST /api/v1/telematics/events/batch": "api",
    "append telematics-events": "api",
    "process upload": "worker",
    "risk-scoring trip.completed": "worker",
    "score driver": "worker",
    "pricing risk_score.calculated": "worker",
}
DEVICE = "CAR-TRACED"


def _whole(collector: Collector) -> list[Seen] | None:
    """Return the spans of a trace that went the whole way."""
    named = [spans for spans in collector.traces().values() if WAY.keys() <= {span.name for span in spans}]
    return named[0] if named else None


def test_an_upload_is_one_trace_through_api_log_worker_and_score(new_system: NewSystem) -> None:
    with collecting() as collector:
        system = new_system(
            OTEL_ENABLED="true",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_TRACES_SAMPLER_ARG="1",
            LOG_LEVEL="DEBUG",
        ).start_all()
        driver = system.enrol()
        key = system.device(driver, DEVICE)
        events = day_out(DEVICE, to_us(clock.now() - timedelta(hours=2)))
        assert system.send(key, events).status_code == 202
        system.wait_settled()
        wait_for(lambda: _whole(collector) is not None, "a trace that went the whole way")
        spans = _whole(collector)
        assert spans is not None
        for service in system.services:
            assert service.stop() == 0
    assert {span.name: span.role for span in spans if span.name in WAY} == WAY
    known = {span.span_id for span in spans}
    roots = [span for span in spans if not span.parent_id]
    assert [span.name for span in roots] == ["POST /api/v1/telematics/events/batch"]
    assert all(span.parent_id in known for span in spans if span.parent_id)

    told = json.dumps([[span.name, span.attributes] for span in collector.spans])
    for secret in (driver, DEVICE, key):
        assert secret not in told

    lines = [line for service in system.services for line in service.log.read_text().splitlines()]
    of_trace = [json.loads(line) for line in lines if spans[0].trace_id in line]
    assert {"http_request"} <= {line["event"] for line in of_trace}
    assert {line["trace_id"] for line in of_trace} == {spans[0].trace_id}
