"""A cursor comes back as it went out, and nothing else is taken for one."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.infra.http.pagination import Feed, InvalidCursor, PageRequest, decode_cursor, encode_cursor
from auto_insurance.kernel.clock import from_us

KEY = tuple[datetime, UUID]
INSTANTS = st.integers(0, 10**16).map(from_us)


@given(INSTANTS, st.uuids())
def test_there_and_back(at: datetime, number: UUID) -> None:
    word = encode_cursor("trips", at, number)
    assert decode_cursor("trips", word, KEY) == (at, number)
    assert len(word) <= 256
    with pytest.raises(InvalidCursor):
        decode_cursor("alerts", word, KEY)
    with pytest.raises(InvalidCursor):
        decode_cursor("trips", word, tuple[int, UUID])


@given(st.text(alphabet="ABCabc019_-", max_size=80))
def test_other_words_are_refused_and_named(word: str) -> None:
    with pytest.raises(InvalidCursor) as told:
        decode_cursor("trips", word, KEY)
    assert told.value.errors[0].field == "query.cursor"


def test_the_last_page_leads_nowhere() -> None:
    def page(items: list[int]) -> str | None:
        return Feed[int].after(items, 9, PageRequest(1, 2), lambda item: (item,), "n").next_cursor

    assert page([]) is None
    assert page([1]) is None
    assert decode_cursor("n", page([1, 2]) or "", tuple[int]) == (2,)
