"""Off, tracing is nothing; on, each piece of work finds its own trace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from auto_insurance.infra import tracing
from auto_insurance.infra.bus.protocol import Record
from auto_insurance.infra.tracing import Attributes
from auto_insurance.kernel import clock
from auto_insurance.trips.traced import MAX_DEVICES, TracedUploads

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


class Kept:
    """A span that is kept in memory."""

    def __init__(self, name: str, parent: str | None, number: int) -> None:
        self.name = name
        self.parent = parent
        self.error: str | None = None
        trace = parent.split("-")[1] if parent else f"{number:032x}"
        self.traceparent: str | None = f"00-{trace}-{number:016x}-01"

    def end(self, name: str | None = None, attributes: Attributes | None = None, error: str | None = None) -> None:
        self.name = name or self.name
        self.error = error


class Memory:
    """Keeps spans."""

    def __init__(self) -> None:
        self.spans: list[Kept] = []

    def start(self, name: str, kind: str, parent: str | None, attributes: Attributes) -> Kept:
        self.spans.append(Kept(name, parent, len(self.spans) + 1))
        return self.spans[-1]

    def close(self) -> None:
        """Hold nothing."""


@pytest.fixture
def memory() -> Iterator[Memory]:
    kept = Memory()
    tracing.use(kept)
    yield kept
    tracing.close()


def _record(device: str, trace: str | None) -> Record:
    headers = {"traceparent": trace} if trace else {}
    return Record("t", 0, 0, device, b"", headers, clock.now())


def test_off_nothing_is_traced_and_no_exporter_is_imported() -> None:
    assert not tracing.is_on()
    with tracing.span("x", parent=PARENT), tracing.spans("y", {"a": PARENT}), tracing.of("a"):
        assert tracing.current() is None
    assert tracing.begin("x") is None
    assert tracing.add_trace_id(None, "info", {"event": "x"}) == {"event": "x"}
    code = (
        "import sys; import auto_insurance.entrypoints.api, auto_insurance.entrypoints.worker; "
        "print([name for name in sys.modules if 'tracing_otel' in name or 'exporter' in name or 'sdk.trace' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_work_without_a_trace_makes_no_spans(memory: Memory) -> None:
    with tracing.span("x"):
        assert tracing.current() is None
    assert memory.spans == []


def test_spans_nest_and_tell_of_errors(memory: Memory) -> None:
    with pytest.raises(KeyError), tracing.span("outer", parent=PARENT), tracing.span("inner"):
        assert tracing.add_trace_id(None, "info", {})["trace_id"] == "a" * 32
        raise KeyError
    outer, inner = memory.spans
    assert (outer.parent, inner.parent) == (PARENT, outer.traceparent)
    assert (outer.error, inner.error) == ("KeyError", "KeyError")
    assert tracing.current() is None


def test_a_request_begins_a_trace(memory: Memory) -> None:
    begun = tracing.begin("request")
    assert begun is not None
    assert tracing.current() == memory.spans[0].traceparent
    tracing.finish(begun, "GET /x", 503)
    assert tracing.current() is None
    assert (memory.spans[0].name, memory.spans[0].error) == ("GET /x", "status 503")


def test_things_of_one_batch_keep_their_own_traces(memory: Memory) -> None:
    other = PARENT.replace("a", "c")
    with tracing.spans("score", {"DRV1": PARENT, "DRV2": other}):
        assert tracing.current() is None, "what belongs to nobody is in no trace"
        with tracing.of("DRV1"):
            assert tracing.current() == memory.spans[0].traceparent
        with tracing.of("DRV2"):
            assert tracing.current() == memory.spans[1].traceparent
        with tracing.of("DRV3"):
            assert tracing.current() is None
    with tracing.of("DRV1"):
        assert tracing.current() is None


def test_a_trip_that_ends_in_silence_belongs_to_the_last_traced_upload(memory: Memory) -> None:
    traced = TracedUploads()
    with traced.handling([_record("CAR-1", PARENT), _record("CAR-2", None)]):
        with tracing.of("CAR-1"):
            assert tracing.current() == memory.spans[0].traceparent
        with tracing.of("CAR-2"):
            assert tracing.current() is None
    with traced.recalled(), tracing.of("CAR-1"):
        assert tracing.current() == PARENT
    with traced.handling([_record(f"OTHER-{number}", PARENT) for number in range(MAX_DEVICES)]):
        pass
    with traced.recalled(), tracing.of("CAR-1"):
        assert tracing.current() is None, "only so many are remembered"
