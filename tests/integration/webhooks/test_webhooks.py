"""From a domain event to a verified request, once; and what happens when the receiver does not take it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest

from auto_insurance.identity.schemas import Role
from auto_insurance.kernel import clock
from auto_insurance.kernel.clock import FrozenClock, use_clock
from auto_insurance.kernel.events import Envelope
from auto_insurance.webhooks.catalogue import EventType
from tests.integration.webhooks.conftest import Hooks
from tests.support.scoring import trip_event
from tests.support.webhooks import Receiver, Unverified, verify


@pytest.fixture
def frozen() -> Iterator[FrozenClock]:
    """Now, until told otherwise: receivers look at the time."""
    at = FrozenClock(clock.now())
    with use_clock(at):
        yield at


def completed() -> Envelope:
    """Return a trip's completion, now."""
    return trip_event("trip.completed", uuid4(), "DRV001")


async def test_an_event_arrives_signed_and_once(hooks: Hooks, receiver: Receiver) -> None:
    endpoint, secret = await hooks.add(receiver.url())
    event = completed()
    await hooks.happen(event, event)
    await hooks.happen(event)
    assert await hooks.send() == 1
    assert await hooks.send() == 0
    [request] = receiver.requests
    payload = json.loads(verify(secret, request.headers, request.body, now_s=time.time()))
    assert (payload["type"], payload["version"], payload["data"]) == (event.type, 1, event.data)
    assert request.headers["webhook-id"] == f"msg_{event.id.hex}"
    with pytest.raises(Unverified):
        verify(secret, request.headers, request.body + b" ", now_s=time.time())
    [delivery] = await hooks.deliveries(endpoint)
    assert (delivery["state"], delivery["attempts"], delivery["last_status"]) == ("delivered", 1, 200)


async def test_only_what_was_asked_for_since_it_was_asked_for(hooks: Hooks, receiver: Receiver) -> None:
    before = completed()
    await asyncio.sleep(0.002)
    endpoint, _ = await hooks.add(receiver.url(), ["trip.amended"])
    await hooks.happen(before, completed(), trip_event("trip.amended", uuid4(), "DRV001"))
    await hooks.send()
    assert [one["event_type"] for one in await hooks.deliveries(endpoint)] == ["trip.amended"]


async def test_for_the_overlap_both_secrets_sign(hooks: Hooks, receiver: Receiver, frozen: FrozenClock) -> None:
    endpoint, old = await hooks.add(receiver.url())
    rotated = await hooks.http.post(f"/webhooks/{endpoint}/rotate-secret", json={"overlap_hours": 1})
    new = rotated.json()["secret"]
    assert new != old
    await hooks.happen(completed())
    await hooks.send()
    for secret in (old, new):
        verify(secret, receiver.requests[0].headers, receiver.requests[0].body, now_s=frozen.now().timestamp())
    frozen.advance(timedelta(hours=1))
    await hooks.happen(completed())
    await hooks.send()
    verify(new, receiver.requests[1].headers, receiver.requests[1].body, now_s=frozen.now().timestamp())
    with pytest.raises(Unverified):
        verify(old, receiver.requests[1].headers, receiver.requests[1].body, now_s=frozen.now().timestamp())


async def test_tried_again_later_and_later_then_dead_then_replayed(
    hooks: Hooks, receiver: Receiver, frozen: FrozenClock
) -> None:
    endpoint, _ = await hooks.add(receiver.url())
    await hooks.happen(completed())
    receiver.status = 500
    for attempt, pause_s in enumerate((15.0, 60.0, 0.0), 1):
        assert await hooks.send() == 1
        [delivery] = await hooks.deliveries(endpoint)
        assert (delivery["attempts"], delivery["last_status"]) == (attempt, 500)
        assert await hooks.send() == 0, "not before its time"
        frozen.advance(timedelta(seconds=1.21 * pause_s))
    assert delivery["state"] == "dead"
    assert delivery["next_at"] is None
    receiver.status = 200
    replayed = await hooks.http.post(f"/webhooks/{endpoint}/replay")
    assert (replayed.status_code, replayed.json()) == (202, {"replayed": 1})
    assert await hooks.send() == 1
    [delivery] = await hooks.deliveries(endpoint, "delivered")
    assert len(set(receiver.ids)) == 1, "the same id at every attempt"
    again = await hooks.http.post(f"/webhooks/{endpoint}/deliveries/{delivery['delivery_id']}/replay")
    assert (again.status_code, again.json()["state"]) == (202, "pending")


async def test_a_receiver_may_ask_for_a_longer_pause(hooks: Hooks, receiver: Receiver, frozen: FrozenClock) -> None:
    await hooks.add(receiver.url())
    await hooks.happen(completed())
    receiver.status, receiver.headers = 429, {"Retry-After": "600"}
    await hooks.send()
    frozen.advance(timedelta(seconds=599))
    assert await hooks.send() == 0
    frozen.advance(timedelta(seconds=2))
    assert await hooks.send() == 1


async def test_what_fails_for_days_is_switched_off_and_says_so(
    hooks: Hooks, receiver: Receiver, frozen: FrozenClock
) -> None:
    endpoint, _ = await hooks.add(receiver.url())
    receiver.status = 503
    for _ in range(2):
        await hooks.happen(completed())
        await hooks.send()
        frozen.advance(timedelta(days=5, hours=1))
    found = (await hooks.http.get(f"/webhooks/{endpoint}")).json()
    assert (found["active"], found["disabled_reason"]) == (False, "failing")
    assert (await hooks.http.post(f"/webhooks/{endpoint}/ping")).status_code == 409
    back = await hooks.http.patch(f"/webhooks/{endpoint}", json={"active": True})
    assert (back.json()["active"], back.json()["failing_since"]) == (True, None)


async def test_gone_is_gone(hooks: Hooks, receiver: Receiver) -> None:
    endpoint, _ = await hooks.add(receiver.url())
    await hooks.happen(completed())
    receiver.status = 410
    await hooks.send()
    found = (await hooks.http.get(f"/webhooks/{endpoint}")).json()
    assert (found["active"], found["disabled_reason"]) == (False, "gone")


async def test_a_slow_one_holds_up_nobody_else(hooks: Hooks, receiver: Receiver) -> None:
    async def silent(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with Receiver(write=silent) as slow:
        held, _ = await hooks.add(slow.url())
        quick, _ = await hooks.add(receiver.url())
        await hooks.happen(*(completed() for _ in range(6)))
        await hooks.worker.turn()
        await asyncio.sleep(0.2)
        await hooks.worker.turn()
        for _ in range(100):
            if len(receiver.requests) == 6:
                break
            await asyncio.sleep(0.05)
        assert len(await hooks.deliveries(quick, "delivered")) >= 4
        await hooks.worker.idle()
        tried = [one for one in await hooks.deliveries(held) if one["attempts"]]
        assert {one["last_error"] for one in tried} == {"timeout"}


async def test_two_processes_send_each_event_once(hooks: Hooks, receiver: Receiver) -> None:
    await hooks.add(receiver.url())
    await hooks.happen(*(completed() for _ in range(8)))
    while sum(await asyncio.gather(hooks.worker.turn(), hooks.worker.turn())):
        await hooks.worker.idle()
    assert len(receiver.ids) == len(set(receiver.ids)) == 8


async def test_a_redirect_is_not_followed_and_a_long_answer_not_read(hooks: Hooks, receiver: Receiver) -> None:
    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with Receiver(status=302, headers={"Location": receiver.url()}) as moved, Receiver(write=flood) as wordy:
        away, _ = await hooks.add(moved.url())
        loud, _ = await hooks.add(wordy.url())
        await hooks.happen(completed())
        await hooks.send()
        assert receiver.requests == []
        assert (await hooks.deliveries(away))[0]["last_status"] == 302
        assert (await hooks.deliveries(loud))[0]["state"] == "delivered"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "http://user:pass@example.com/"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "https://10.0.0.1/hook"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["driver.deleted"]}, "events"),
    ],
)
async def test_a_wrong_field_is_named(hooks: Hooks, change: dict[str, object], field: str) -> None:
    body = {"url": "https://example.com/hook", "events": ["trip.completed"]} | change
    answer = await hooks.http.post("/webhooks", json=body)
    assert answer.status_code == 422, answer.text
    assert any(field in error["field"] for error in answer.json()["errors"])


async def test_lists_ping_and_bounds(hooks: Hooks, receiver: Receiver) -> None:
    ids = [(await hooks.add(receiver.url(path=f"/{number}")))[0] for number in range(3)]
    over = await hooks.http.post("/webhooks", json={"url": receiver.url(), "events": ["trip.completed"]})
    assert (over.status_code, over.json()["code"]) == (409, "too_many_webhooks")
    page = (await hooks.http.get("/webhooks")).json()
    assert [one["endpoint_id"] for one in page["items"]] == ids
    assert not any("secret" in one for one in page["items"]), "shown once"
    assert (await hooks.http.post(f"/webhooks/{ids[0]}/ping")).status_code == 202
    await hooks.send()
    assert receiver.requests[0].line.startswith("POST /0 ")
    assert (await hooks.http.delete(f"/webhooks/{ids[0]}")).json()["endpoint_id"] == ids[0]
    assert (await hooks.http.get(f"/webhooks/{ids[0]}")).status_code == 404
    types = (await hooks.http.get("/webhooks/event-types")).json()["items"]
    assert {one["type"] for one in types} == set(EventType)
    hooks.role[:] = [Role.DRIVER.value]
    assert (await hooks.http.get("/webhooks")).status_code == 403
