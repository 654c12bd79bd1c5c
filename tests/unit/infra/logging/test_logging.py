from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog
from sqlalchemy import create_engine, text

from auto_insurance.infra.logging import configure_logging, redact


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    before, level = list(logging.getLogger().handlers), logging.getLogger().level
    stream = io.StringIO()
    configure_logging(json=True, level="INFO", stream=stream, cache=False)
    yield stream
    root = logging.getLogger()
    for handler in list(root.handlers):
        if handler not in before:
            root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def read(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_context_level_time_and_logger(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.get_logger("some.module").info("batch_stored", rows=3)
    (line,) = read(lines)
    assert line["event"] == "batch_stored"
    assert (line["request_id"], line["rows"], line["level"], line["logger"]) == ("r-1", 3, "info", "some.module")
    assert str(line["timestamp"]).endswith("Z")


def test_the_level_holds(lines: io.StringIO) -> None:
    structlog.get_logger("m").debug("too_fine")
    assert read(lines) == []


def test_libraries_go_the_same_way(lines: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 42)
    logging.getLogger("uvicorn.access").info("GET /api?email=a@b.org")
    (line,) = read(lines)
    assert line["event"] == "Started server process [42]"
    assert line["logger"] == "uvicorn.error"


def test_warnings_are_logged(lines: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old way", UserWarning, stacklevel=1)
    assert any("old way" in str(line["event"]) for line in read(lines))


def test_exceptions_are_structured_and_without_locals(lines: io.StringIO) -> None:
    hidden_local = "hunter2"
    try:
        raise ValueError(f"for x@example.org at postgresql://u:{len(hidden_local)}pw@db/x")
    except ValueError:
        structlog.get_logger("m").exception("it_broke")
    (line,) = read(lines)
    text = lines.getvalue()
    assert isinstance(line["exception"], list)
    assert line["exception"][0]["exc_type"] == "ValueError"
    assert "x@example.org" not in text
    assert "7pw" not in text
    assert "hunter2" not in text


def test_configuring_twice_writes_once(lines: io.StringIO) -> None:
    configure_logging(json=True, stream=lines, cache=False)
    structlog.get_logger("m").info("once")
    assert len(read(lines)) == 1


def test_lines_for_people() -> None:
    stream = io.StringIO()
    configure_logging(json=False, stream=stream, cache=False)
    try:
        structlog.get_logger("m").info("hello", token="abc", n=1)
        try:
            raise KeyError("k")
        except KeyError:
            structlog.get_logger("m").exception("it_broke")
    finally:
        root = logging.getLogger()
        root.removeHandler(root.handlers[-1])
        logging.captureWarnings(False)
        structlog.reset_defaults()
    assert "hello" in stream.getvalue()
    assert "abc" not in stream.getvalue()
    assert "KeyError" in stream.getvalue()


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "access_token",
        "Authorization",
        "device-key",
        "secret",
        "start_latitude",
        "lon",
        "vin",
        "email",
        "api_key",
    ],
)
def test_sensitive_keys_are_masked_at_any_depth(key: str) -> None:
    value = "5YJSA1E26HF000337"
    out = redact(None, "info", {"event": "e", key: value, "deep": [{"a": {key: 41.5}}], "n": {key: None}})
    assert value not in str(out)
    assert "41.5" not in str(out)


def test_other_values_stay() -> None:
    event = {"event": "trip_closed", "trip_id": "T1", "rows": 3, "ok": True, "ratio": 0.5, "ids": ["a"], "monkey": "x"}
    assert redact(None, "info", dict(event)) == event


def test_bytes_deep_and_long_values_are_cut() -> None:
    deep: dict[str, object] = {}
    inner = deep
    for _ in range(20):
        inner["d"] = {}
        inner = inner["d"]  # type: ignore[assignment]
    out = redact(None, "info", {"event": "e", "body": b"123", "deep": deep, "text": "x" * 100_000})
    assert out["body"] == "<3 bytes>"
    assert "..." in str(out["deep"])
    assert len(out["text"]) < 9000


def test_the_pools_end_is_not_told_but_echoed_statements_are_once(lines: io.StringIO) -> None:
    logging.getLogger("sqlalchemy.pool.impl.AsyncAdaptedQueuePool").info("Pool disposed.")
    logging.getLogger("sqlalchemy.pool.impl.AsyncAdaptedQueuePool").warning("a connection was lost")
    assert [line["event"] for line in read(lines)] == ["a connection was lost"]
    engine = create_engine("sqlite://", echo=True, hide_parameters=True)
    with engine.connect() as conn:
        conn.execute(text("SELECT 1"))
    engine.dispose()
    assert [line["event"] for line in read(lines)].count("SELECT 1") == 1
