"""Uploads that are judged together get what each would get alone; what they hold goes on as it came."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_insurance.contracts.telematics import TelemetryEvent
from auto_insurance.telematics import bulk, judging
from auto_insurance.telematics.errors import MalformedJson, TooManyEvents
from auto_insurance.telematics.judging import JudgeQueue
from auto_insurance.telematics.limits import IngestPolicy
from auto_insurance.telematics.uploads import open_event, open_upload
from tests.unit.telematics.logged import NOW

MS = NOW // 1000


def event(device_id: str = "d1", **fields: Any) -> dict[str, Any]:
    return {"device_id": device_id, "timestamp": MS} | fields


def typed(*events: dict[str, Any]) -> list[TelemetryEvent]:
    return [msgspec.convert(found, TelemetryEvent) for found in events]


events = st.builds(
    event,
    st.sampled_from(["d1", "d2", "?"]),
    speed=st.sampled_from([1.0, 2.0, 999.0]),
    event_id=st.sampled_from([None, "e"]),
    driver_id=st.sampled_from([None, "DRV001"]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(events, max_size=5), min_size=1, max_size=5), st.integers(1, 8))
async def test_together_is_as_alone(uploads: list[list[dict[str, Any]]], at_most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "MAX_TOGETHER", at_most)
        queue = JudgeQueue(IngestPolicy())
        together = await asyncio.gather(*(queue.judge(typed(*found), NOW, any_age=False) for found in uploads))
    for found, verdicts in zip(uploads, together, strict=True):
        alone = await JudgeQueue(IngestPolicy()).judge(typed(*found), NOW, any_age=False)
        assert verdicts.refused == alone.refused
        assert sorted(verdicts.devices) == sorted({item["device_id"] for item in found})
        assert verdicts.t_us.tolist() == [NOW] * len(found)
        assert list(verdicts.named) == [item["driver_id"] for item in found]
        assert verdicts.event_ids() == alone.event_ids()
        assert [text is None for text in alone.event_ids()] == [place in alone.refused for place in range(len(found))]


async def test_each_has_its_own_rights_and_a_caller_may_leave() -> None:
    queue = JudgeQueue(IngestPolicy())
    old = typed(event(timestamp=MS - 40 * 86_400_000))
    live = asyncio.create_task(queue.judge(old, NOW, any_age=False))
    aged = asyncio.create_task(queue.judge(old, NOW, any_age=True))
    gone = asyncio.create_task(queue.judge(old, NOW, any_age=True))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await live).refused
    assert not (await aged).refused


async def test_a_fault_reaches_all_and_does_not_last() -> None:
    queue = JudgeQueue(IngestPolicy())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "judge", lambda *_: 1 // 0)
        found = await asyncio.gather(
            *(queue.judge(typed(event()), NOW, any_age=False) for _ in range(2)), return_exceptions=True
        )
    assert [type(error) for error in found] == [ZeroDivisionError] * 2
    assert not (await queue.judge(typed(event()), NOW, any_age=False)).refused


@pytest.mark.parametrize(
    "body",
    [
        '{"events":[%s]}',
        ' {\n "events" : [ %s ] }\n',
        '{"events": [%s], "more": 1}',
        '{"more": [1], "events": [%s]}',
        '{"events": [1], "events": [%s]}',
        '{"events": [%s], "more": "]}"}',
        '{"events": [%s], "more": []}',
    ],
)
@pytest.mark.parametrize("inner", ["", '{"device_id":"d","timestamp":1}', '{"device_id":"d","timestamp":1,"x":["]}"]}'])
def test_own_bytes_are_the_list_that_the_body_means(body: str, inner: str) -> None:
    upload = open_upload((body % inner).encode())
    wanted = json.loads(body % inner)["events"]
    assert [found.device_id for found in upload.events] == [item["device_id"] for item in wanted]
    if upload.own is not None:
        assert json.loads(upload.own) == wanted
    assert (upload.own is not None) == ("more" not in body and "[1]" not in body)


def test_bytes_that_are_no_text_are_not_passed_on() -> None:
    body = b'{"events":[{"device_id":"d","timestamp":1,"unknown":"\xff"}]}'
    try:
        upload = open_upload(body)
    except MalformedJson:
        return
    assert upload.own is None
    upload = open_upload('{"events":[{"device_id":"d","timestamp":1,"unknown":"\u00e9"}]}'.encode())
    assert upload.own is not None


def test_what_can_not_be_read_keeps_its_place() -> None:
    upload = open_upload(b'{"events":[7,{"device_id":"d","timestamp":1},{"device_id":"d"}]}')
    assert (upload.total, list(upload.places), sorted(upload.refused), upload.own) == (3, [1], [0, 2], None)
    twice = open_upload(b'{"events":[{"device_id":"d","timestamp":1,"speed":"x","speed":1}]}')
    assert (len(twice.events), twice.refused) == (1, {})
    for many in (b"1," * 5000 + b"1", b'{"device_id":"d","timestamp":1},' * 5000 + b'{"device_id":"d","timestamp":1}'):
        with pytest.raises(TooManyEvents):
            open_upload(b'{"events":[' + many + b"]}")


def test_single_events() -> None:
    assert open_event(b' {"device_id":"d","timestamp":1}').own == b' {"device_id":"d","timestamp":1}'
    twice = open_event(b'{"device_id":7,"device_id":"d","timestamp":1}')
    assert (len(twice.events), twice.own) == (1, None)
    assert open_event(b"[]").refused[0][0].code == "not_an_object"
    with pytest.raises(MalformedJson):
        open_event(b"{")
