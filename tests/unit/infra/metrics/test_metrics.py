from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from auto_insurance.contracts import topics
from auto_insurance.infra import metrics
from auto_insurance.infra.metrics import processes
from auto_insurance.infra.metrics.database import classifier
from auto_insurance.infra.metrics.reference import catalogue

CONTRACT = {
    "http_requests_total": ("method", "endpoint", "status"),
    "http_request_duration_seconds": ("method", "endpoint", "status"),
    "db_query_duration_seconds": ("query_type", "table"),
    "db_connection_pool_size": (),
    "db_connection_pool_checked_out": (),
    "db_connection_pool_overflow": (),
    "cache_hits_total": ("cache_type",),
    "cache_misses_total": ("cache_type",),
    "cache_latency_seconds": ("operation",),
    "cache_evictions_total": (),
    "kafka_consumer_lag_messages": ("topic", "partition", "consumer_group"),
    "kafka_messages_processed_total": ("topic", "status"),
    "kafka_message_processing_seconds": ("topic",),
    "kafka_consumer_errors_total": (),
    "ml_inference_duration_seconds": ("model_type",),
    "ml_batch_size": ("model_type",),
    "ml_prediction_cache_hits_total": (),
    "cache_memory_bytes": (),
    "db_slow_queries_total": (),
    "db_pool_timeouts_total": (),
    "db_table_size_bytes": ("table",),
    "db_index_hit_ratio": (),
    "ml_model_load_seconds": (),
    "ml_feature_drift": ("feature",),
    "ml_score_drift": (),
    "ml_actual_to_expected_claims": (),
    "kafka_consumer_lag_seconds": ("topic", "consumer_group"),
    "kafka_offset_commits_total": (),
    "process_cpu_seconds_total": ("process",),
    "process_resident_memory_bytes": ("process",),
    "disk_free_bytes": (),
    "websocket_connections_active": (),
    "active_drivers_total": (),
    "active_trips_total": (),
    "events_per_second": (),
    "average_risk_score": (),
    "events_ingested_total": ("source", "status"),
    "events_stored_total": (),
    "event_end_to_end_seconds": (),
    "dead_letters_total": ("reason",),
}


def samples(text: bytes) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_the_names_and_labels_of_the_contract() -> None:
    known = {name: labels for name, (_, labels, _) in catalogue().items()}
    assert CONTRACT.items() <= known.items()


def test_every_series_is_there_before_its_first_use() -> None:
    plan = metrics.SeriesPlan(routes=[("GET", "/a/{b:path}", 200)], tables=["trips"], features=["night_share"])
    metrics.init_series(plan, role="api")
    shown = samples(metrics.render())
    for name, (kind, _, _) in catalogue().items():
        assert shown.get(f"{name}_count" if kind == "histogram" else name), name
    partitions = {dict(labels)["partition"] for labels in shown["kafka_consumer_lag_messages"]}
    assert partitions >= {str(n) for n in range(topics.ALL[0].partitions)}
    assert (("endpoint", "/a/{b}"), ("method", "GET"), ("status", "200")) in shown["http_requests_total"]


def test_labels_come_from_closed_sets() -> None:
    assert metrics.method_label("GET") == "GET"
    assert metrics.method_label("BREW") == "other"
    assert metrics.endpoint_label("/files/{path:path}/x/{n:int}") == "/files/{path}/x/{n}"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a FROM trips WHERE x = $1", ("select", "trips")),
        ('INSERT INTO "trips" (a) VALUES ($1)', ("insert", "trips")),
        ("UPDATE ONLY trips SET a = 1", ("update", "trips")),
        ("DELETE FROM trips", ("delete", "trips")),
        ("WITH c AS (SELECT 1) SELECT * FROM c JOIN trips ON true", ("select", "trips")),
        ("WITH new AS (SELECT 1) INSERT INTO trips SELECT * FROM new", ("insert", "trips")),
        ("SELECT * FROM telematics_events_2026_11", ("select", "telematics_events")),
        ("SELECT * FROM telematics_events_default", ("select", "telematics_events")),
        ("SELECT pg_notify('a', 'b')", ("select", "other")),
        ("COPY trips FROM STDIN", ("copy", "trips")),
        ("BEGIN", ("other", "other")),
        ("LISTEN wake_up", ("other", "other")),
    ],
)
def test_statements_are_classified(sql: str, expected: tuple[str, str]) -> None:
    assert classifier(frozenset({"trips", "telematics_events"}))(sql) == expected


def test_copy_is_timed_by_hand() -> None:
    labels = (("query_type", "copy"), ("table", "trips"))
    before = samples(metrics.render()).get("db_query_duration_seconds_count", {}).get(labels, 0.0)
    with metrics.time_query("copy", "trips"):
        pass
    assert samples(metrics.render())["db_query_duration_seconds_count"][labels] == before + 1


def test_the_reference_page_names_every_metric() -> None:
    page = metrics.render_markdown()
    assert all(f"| `{name}` |" in page for name in catalogue())


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    metrics.set_disk_path(tmp_path / "not" / "yet")
    try:
        assert samples(metrics.render())["disk_free_bytes"][()] > 0
    finally:
        metrics.set_disk_path(Path())


def test_a_server_for_processes_without_an_api() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server, thread = metrics.start_metrics_server("127.0.0.1", port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b"events_stored_total" in answer.read()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


CHILD = """
import sys
from auto_insurance.infra import metrics
role, events, score = sys.argv[1], float(sys.argv[2]), sys.argv[3]
metrics.init_series(metrics.SeriesPlan(tables=["trips"]), role=role)
metrics.EVENTS_STORED_TOTAL.inc(events)
metrics.DB_CONNECTION_POOL_SIZE.set(10)
metrics.EVENT_END_TO_END_SECONDS.observe(0.2)
if score:
    metrics.AVERAGE_RISK_SCORE.set(float(score))
print("ready", flush=True)
sys.stdin.readline()
"""
RENDER = """
import sys
from auto_insurance.infra import metrics
metrics.init_series(role="api")
sys.stdout.buffer.write(metrics.render())
"""


def test_several_processes_are_one_page(tmp_path: Path) -> None:
    """A later process at 0 hides no value that another one knows; the dead keep their counts, not their gauges."""
    metrics.prepare_shared_folder(tmp_path)
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def start(*args: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, *args], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        return child

    def page() -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        return samples(subprocess.run([sys.executable, "-c", RENDER], env=env, check=True, capture_output=True).stdout)

    scheduler = start("scheduler", "1", "42.5")
    worker = start("worker", "5", "")
    try:
        shown = page()
        assert shown["events_stored_total"][()] == 6
        assert shown["average_risk_score"][()] == 42.5
        assert shown["db_connection_pool_size"][()] == 20
        assert shown["event_end_to_end_seconds_count"][()] == 2
        assert shown["active_drivers_total"][()] == 0
        assert len(shown["kafka_consumer_lag_messages"]) == topics.ALL[0].partitions
        roles = {dict(labels)["process"] for labels in shown["process_resident_memory_bytes"]}
        assert roles == {"api", "scheduler", "worker"}
        worker.kill()
        worker.wait(10)
        metrics.forget_process(worker.pid, tmp_path)
        shown = page()
        assert shown["events_stored_total"][()] == 6
        assert shown["db_connection_pool_size"][()] == 10
        assert (("process", "worker"),) not in shown["process_count"]
    finally:
        for child in (scheduler, worker):
            child.communicate()
    metrics.prepare_shared_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_role_files_of_ended_and_reused_numbers_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    processes.register_process("worker")
    (tmp_path / "999999999.role").write_text("worker", encoding="utf-8")
    (tmp_path / "odd.role").write_text("worker", encoding="utf-8")
    assert [role for role, _ in processes.living()] == ["worker"]
    os.utime(tmp_path / f"{os.getpid()}.role", (1, 1))
    assert list(processes.living()) == []


def test_series_of_others_can_be_removed_twice_and_stay_in_a_shared_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauge, labels = metrics.KAFKA_CONSUMER_LAG_SECONDS, ("trips", "some-group")
    gauge.labels(*labels).set(3)
    with monkeypatch.context() as patch:
        patch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
        metrics.remove_series(gauge, *labels)
    assert b'consumer_group="some-group"' in metrics.render()
    metrics.remove_series(gauge, *labels)
    metrics.remove_series(gauge, *labels)
    assert b'consumer_group="some-group"' not in metrics.render()
