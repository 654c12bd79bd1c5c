"""The benchmarks work and count right. Nothing here is about speed."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest
from benchmarks import ALL, copyrows, drain, meters, report, results
from benchmarks.__main__ import parsed
from benchmarks.backlog import Book, fill
from benchmarks.client import request, run_once
from benchmarks.fleet import Fleet, device_name
from benchmarks.lab import FLEET, Lab
from benchmarks.limits import CopyLimit
from benchmarks.options import Options
from benchmarks.results import Figure, Limit, Report, Wrong
from benchmarks.uploads import LAST, Traffic, stream, traffic

from auto_insurance.infra.embedded.postgres import EmbeddedPostgres

DEVICES = 40
NOW_S = 1_767_225_600


def _keys(value: bytes) -> list[tuple[str, int, str]]:
    return [(event["device_id"], event["timestamp"], event["event_id"]) for event in json.loads(value)]


@pytest.mark.parametrize("size", [1, 10, 60])
def test_the_generator_knows_what_is_new(size: int) -> None:
    plan = traffic(DEVICES * size * 4, DEVICES, size, NOW_S)
    seen: set[tuple[str, int, str]] = set()
    newest: Counter[str] = Counter()
    late = copies = 0
    for upload in stream(plan):
        keys = _keys(upload.value)
        assert len(keys) == upload.events == size
        assert upload.fresh == len(set(keys) - seen)
        assert keys[-1][2].endswith(LAST)
        assert {key[0] for key in keys} == {device_name(upload.device)}
        copies += not upload.fresh
        late += bool(upload.fresh) and newest[keys[0][0]] > keys[0][1]
        newest[keys[0][0]] = max(newest[keys[0][0]], keys[-1][1])
        assert keys[-1][1] * 1000 <= upload.sent_us <= NOW_S * 1_000_000 + 3 * size * 1_000_000
        seen |= set(keys)
    assert len(seen) == plan.events
    assert copies
    assert late


def test_movement_is_plausible() -> None:
    fleet = Fleet(DEVICES, NOW_S)
    first, second = fleet.next(60), fleet.next(60)
    for span in (first, second):
        assert np.all((span.speed_mph >= 0) & (span.speed_mph < 70))
        assert np.all((span.heading >= 0) & (span.heading < 360))
    north = np.diff(np.hstack([first.latitude, second.latitude]), axis=1) * 111_320
    assert np.abs(north).max() < 50, "no jump, not even from one stretch to the next"


def test_the_book_counts_up_to_any_offset() -> None:
    book = Book()
    for number, upload in enumerate(stream(traffic(DEVICES * 30, DEVICES, 10, NOW_S))):
        book.note(number % 3, upload)
    assert book.distinct_until(book.ends()) == book.distinct == DEVICES * 30
    assert book.distinct_until({0: 1}) == book.fresh[0][0]
    assert book.distinct_until({}) == 0


@pytest.fixture
def lab(postgres_server: EmbeddedPostgres) -> Iterator[Lab]:
    with Lab(DEVICES, postgres_server) as lab:
        yield lab


def test_copied_rows_are_what_devices_would_send(lab: Lab) -> None:
    plan = Traffic(DEVICES, 1, 20, int(time.time()) - 100)
    limit = CopyLimit(lab, plan)
    limit.measure()
    assert limit.rows == plan.events
    database = lab.clone()

    async def copy(conn: asyncpg.Connection) -> list[Any]:
        columns = await copyrows.layout(conn)
        for _, part in copyrows.chunks(plan, columns, 300):
            await copyrows.write(conn, copyrows.TABLE, columns, part)
        return list(await conn.fetch("SELECT * FROM telematics_events ORDER BY device_id, timestamp"))

    rows = lab.on(database, copy)
    lab.drop(database)
    sent = {
        (event["device_id"], event["timestamp"]): event for upload in stream(plan) for event in json.loads(upload.value)
    }
    assert len(rows) == len(sent) == plan.events
    for row in rows:
        event = sent[(row["device_id"], round(row["timestamp"].timestamp() * 1000))]
        assert row["event_id"][:-1] == event["event_id"][:-1]
        assert row["latitude"] == event["latitude"]
        assert row["speed_mph"] == pytest.approx(event["speed"])
        assert row["event_type"] == event.get("event_type", "normal")
        assert (row["acceleration_g"] is None) == ("acceleration" not in event)


def test_a_worker_empties_a_backlog_and_is_checked(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "LEAST_COMMITS", 1)
    monkeypatch.setattr(drain, "LEAST_S", 0.0)
    template = lab.clone()
    plan = traffic(DEVICES * 30, DEVICES, 10, int(time.time()) - 60)
    book = fill(lab.settings("postgres", template), stream(plan))
    assert book.distinct == plan.events < book.events
    database = lab.clone(template)
    run = drain.drain(lab, "postgres", database, book, within_s=20.0)
    assert run.whole
    assert run.stored == plan.events
    assert run.cores["worker"] >= 0
    lab.sql("DELETE FROM telematics_events WHERE ctid = '(0,1)'", database)
    with pytest.raises(Wrong, match="distinct ones lie before the offsets"):
        drain._check(lab, database, book, 0, lab.children[-1])
    for name in (database, template):
        lab.drop(name)


def test_the_client_refuses_another_answer(lab: Lab) -> None:
    bare = lab.start_bare()
    deadline = time.monotonic() + 30
    while True:
        try:
            rate = run_once(bare.port, [request("POST", "/", b"{}", key="k")] * 5, clients=2, expected=202)
            break
        except OSError:
            assert time.monotonic() < deadline, bare.said
            time.sleep(0.1)
    assert rate.requests == 5
    with pytest.raises(Wrong, match="status 202 where 200"):
        run_once(bare.port, [request("GET", "/")], clients=1, expected=200)
    bare.stop()


def test_results_become_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    told = Report("store", Options(runs=3))
    limits = (Limit("the limit", [200.0]),)
    told.add(Figure("a", "too slow", "events/s", [90.0, 100.0, 110.0], floor=120.0, aim_ratio=0.4, limits=limits))
    told.add(Figure("b", "quick", "ms", [1.5], more_is_better=False, aim=5.0, detail={"cores": {"worker": 0.5}}))
    told.finish()
    page = report.page([json.loads((tmp_path / "store.json").read_text())])
    assert "| too slow | 120 MISSED | 0.4 of the limit holds | **100** | events/s | 0.50 (the limit) | - |" in page
    assert "| quick | - | 5 holds | **1.5** | ms |" in page
    assert "`python -m benchmarks store --runs 3`" in page


def test_the_bottleneck_is_what_is_full() -> None:
    assert "worker's own thread" in meters.bottleneck({"worker": 0.95, "backends": 0.4})
    assert "PostgreSQL, working" in meters.bottleneck({"worker": 0.3, "backends": 0.9})
    assert "take turns" in meters.bottleneck({"worker": 0.5, "backends": 0.45})
    assert "not to be told" in meters.bottleneck({"worker": 0.95, "others": 99.0})
    assert "waiting" in meters.bottleneck({"worker": 0.1, "backends": 0.1})


def test_the_command_line_is_understood() -> None:
    names, options = parsed(["store", "--quick", "--engine", "postgres", "--sizes", "1,10"])
    assert (names, options.runs, options.engines, options.sizes) == (["store"], 1, ("postgres",), (1, 10))
    assert parsed([])[0] == [*ALL, "report"]
    assert FLEET
    with pytest.raises(SystemExit):
        parsed(["store", "--engine", "paper"])
