"""Subscriptions, handled events, dead letters."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import select

from auto_insurance.contracts.deadletters import RECORD_DEAD_LETTERED, RecordDeadLettered
from auto_insurance.contracts.topics import TELEMATICS_DLQ, TRIPS
from auto_insurance.infra import metrics
from auto_insurance.infra.bus.deadletters import DeadLetter, add_dead_letters, count_dead_letters, list_dead_letters
from auto_insurance.infra.bus.events import EventHandler, Subscription
from auto_insurance.infra.bus.handled import note_handled, prune_handled
from auto_insurance.infra.bus.handler import Batch
from auto_insurance.infra.bus.protocol import Record, TopicPartition
from auto_insurance.infra.db.outbox import outbox
from auto_insurance.infra.db.uow import Database, UnitOfWork
from auto_insurance.kernel import clock, events, ids
from auto_insurance.kernel.events import Envelope
from auto_insurance.kernel.outcome import Dead, Drop, Ok


class Note(msgspec.Struct):
    text: str


def event(type: str = "note.made", text: str = "a") -> Envelope:
    return events.new_event(Note(text), type=type, version=1, key="DRV001")


def batch(*values: bytes) -> Batch:
    return Batch([Record(TRIPS, 0, i, "DRV001", value, {}, clock.now()) for i, value in enumerate(values)])


class Heard:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.handler = EventHandler(Subscription("listeners", TRIPS, {"note.made": self.hear}))

    async def hear(self, uow: UnitOfWork, event: Envelope) -> None:
        if event.data["text"] == "boom":
            raise ValueError("boom")
        self.texts.append(event.data["text"])


async def test_the_effect_of_an_event_is_once(db: Database) -> None:
    heard = Heard()
    first, second = event(text="first"), event(text="second")
    raw = [events.encode(e) for e in (first, second, first)]
    async with db.begin() as uow:
        outcomes = await heard.handler.handle(uow, batch(*raw))
    assert outcomes == [Ok(None), Ok(None), Drop()]
    async with db.begin() as uow:
        assert await heard.handler.handle(uow, batch(raw[1])) == [Drop()]
    assert heard.texts == ["first", "second"]


async def test_malformed_events_die_and_unknown_types_pass(db: Database) -> None:
    heard = Heard()
    broken = [b"{", b"[]", b'{"id": 1}', b"\xff\xfe", b'{"type": "\xff"}']
    async with db.begin() as uow:
        outcomes = await heard.handler.handle(uow, batch(*broken, events.encode(event("other.thing"))))
    assert [o.reason for o in outcomes if isinstance(o, Dead)] == ["malformed_event"] * 5
    assert outcomes[-1] == Ok(None)
    assert heard.texts == []


async def test_a_failed_transaction_forgets_that_it_handled(db: Database) -> None:
    heard = Heard()
    good, bad = event(text="good"), event(text="boom")
    with pytest.raises(ValueError, match="boom"):
        async with db.begin() as uow:
            await heard.handler.handle(uow, batch(events.encode(good), events.encode(bad)))
    heard.texts.clear()
    async with db.begin() as uow:
        assert await heard.handler.handle(uow, batch(events.encode(good))) == [Ok(None)]
    assert heard.texts == ["good"]
    heard.handler.committed()
    heard.handler.rolled_back()
    await heard.handler.revoked([TopicPartition(TRIPS, 0)])
    assert (heard.handler.group, list(heard.handler.topics)) == ("listeners", [TRIPS])


async def test_groups_note_for_themselves_and_old_notes_go(db: Database) -> None:
    one: UUID = ids.new_uuid()
    async with db.begin() as uow:
        assert await note_handled(uow, "a", [one, one]) == {one}
        assert await note_handled(uow, "b", [one]) == {one}
        assert await note_handled(uow, "a", [one]) == set()
        assert await note_handled(uow, "a", []) == set()
    async with db.begin() as uow:
        assert await prune_handled(uow, clock.now() - timedelta(days=1)) == 0
        assert await prune_handled(uow, clock.now() + timedelta(days=1), limit=1) == 1
        assert await prune_handled(uow, clock.now() + timedelta(days=1)) == 1


def letter(reason: str, index: int | None = None) -> DeadLetter:
    return DeadLetter("telematics-events", 3, 17, index, "dev-1", reason, "why\x00" + "x" * 600, b"\x00\xff", "g")


async def test_dead_letters_are_stored_published_and_counted(db: Database) -> None:
    before = metrics.REGISTRY.get_sample_value("dead_letters_total", {"reason": "unknown_device"}) or 0
    async with db.begin() as uow:
        await add_dead_letters(uow, [])
        await add_dead_letters(uow, [letter("unknown_device", 4), letter("too_old"), letter("unknown_device", 5)])
    async with db.read() as uow:
        assert await count_dead_letters(uow) == 3
        page, total = await list_dead_letters(uow, reason="unknown_device", page=1, page_size=1)
        rows = (await uow.conn.execute(select(outbox).order_by(outbox.c.id))).all()
    assert (total, [x.letter.index_in_record for x in page]) == (2, [5])
    assert page[0].letter.value == b"\x00\xff"
    assert len(page[0].letter.detail) <= 500
    assert metrics.REGISTRY.get_sample_value("dead_letters_total", {"reason": "unknown_device"}) == before + 2
    sent = events.decode(rows[0].value)
    assert (rows[0].topic, rows[0].key, sent.type) == (TELEMATICS_DLQ, "dev-1", RECORD_DEAD_LETTERED)
    payload = msgspec.convert(sent.data, RecordDeadLettered)
    assert (payload.value, payload.offset, payload.index_in_record) == (b"\x00\xff", 17, 4)


async def test_a_rolled_back_dead_letter_does_not_count(db: Database) -> None:
    with pytest.raises(RuntimeError):
        async with db.begin() as uow:
            await add_dead_letters(uow, [letter("never")])
            raise RuntimeError
    assert metrics.REGISTRY.get_sample_value("dead_letters_total", {"reason": "never"}) is None
    async with db.read() as uow:
        assert await count_dead_letters(uow) == 0
