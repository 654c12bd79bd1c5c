"""Binary COPY bodies, compared with the format written out field by field."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.infra.db import binary

NAMES = ["", "a", "DRV001", "größe", "名" * 7]
ROW = st.tuples(
    st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6),
    st.sampled_from(range(len(NAMES))),
    st.none() | st.text("abc", min_size=1, max_size=40),
    st.none() | st.floats(width=32, allow_nan=False),
    st.floats(allow_nan=False),
    st.none() | st.booleans(),
    st.integers(-(2**62), 2**62),
    st.integers(-(2**15), 2**15 - 1),
)


def reference(rows: list[tuple[Any, ...]]) -> bytes:
    out = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
    for text, code, json, single, double, flag, instant, small in rows:
        fields = [
            None if text is None else text.encode(),
            NAMES[code].encode(),
            None if json is None else b"\x01" + json.encode(),
            None if single is None else struct.pack(">f", single),
            struct.pack(">d", double),
            None if flag is None else struct.pack(">?", flag),
            struct.pack(">q", instant - 946_684_800_000_000),
            struct.pack(">h", small),
            None,
        ]
        out += struct.pack(">h", len(fields))
        for field in fields:
            out += struct.pack(">i", -1) if field is None else struct.pack(">i", len(field)) + field
    return out + b"\xff\xff"


def columns(rows: list[tuple[Any, ...]]) -> list[binary.Column]:
    text, code, json, single, double, flag, instant, small = zip(*rows, strict=True) if rows else ((),) * 8
    null = np.array([value is None for value in flag], np.bool_)
    return [
        binary.Texts(text),
        binary.Coded(NAMES, np.array(code, np.int32)),
        binary.Texts(json, "\x01"),
        binary.floats(np.array(single, np.float32)),
        binary.floats(np.array(double, np.float64)),
        binary.Fixed(np.array([bool(value) for value in flag], np.bool_), null if null.any() else None),
        binary.instants(np.array(instant, np.int64)),
        binary.Fixed(np.array(small, np.int16)),
        binary.Nothing(),
    ]


@given(st.lists(ROW, max_size=12))
def test_rows_are_what_the_format_says(rows: list[tuple[Any, ...]]) -> None:
    assert binary.encode(columns(rows), len(rows)).tobytes() == reference(rows)


def test_rows_are_laid_out_in_chunks_that_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("x" * (n % 7), n % 5, "y" * 900 if n == 99 else None, None, 0.5, None, n, n) for n in range(300)]
    whole = binary.encode(columns(rows), len(rows)).tobytes()
    assert whole == reference(rows)
    monkeypatch.setattr(binary, "CHUNK_ROWS", 70)
    assert binary.encode(columns(rows), len(rows)).tobytes() == whole
