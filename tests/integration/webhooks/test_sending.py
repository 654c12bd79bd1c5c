"""Where a name leads decides, at the moment of sending and for that connection."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from auto_insurance.webhooks.addresses import networks
from auto_insurance.webhooks.sending import Sender, SendOptions
from auto_insurance.webhooks.service import AddressRules
from tests.support.webhooks import Receiver

SHORT = SendOptions(1.0, 1.5, 4096)


class Names:
    """A name server that says what it likes, every time something else."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers.pop(0)


async def _send(rules: AddressRules, names: Names, url: str) -> tuple[int | None, str | None]:
    sender = Sender(rules, SHORT, names)
    try:
        answer = await sender.send(url, {"webhook-id": "msg_1"}, b"{}")
    finally:
        await sender.close()
    return answer.status, answer.error


async def test_the_name_is_asked_once_and_the_connection_is_made_to_its_answer(receiver: Receiver) -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    rules = AddressRules(True, networks("127.0.0.1/32"))
    assert await _send(rules, names, f"http://hooks.example.com:{receiver.port}/in") == (200, None)
    assert names.asked == 1
    assert receiver.requests[0].headers["host"] == f"hooks.example.com:{receiver.port}"


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["93.184.215.14", "127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["169.254.169.254"],
        ["fe80::1%eth0"],
        ["fd00::1"],
        ["0.0.0.0"],
        ["not an address"],
    ],
)
async def test_a_name_that_leads_inside_is_refused_though_it_looked_well_when_it_was_added(
    receiver: Receiver, answers: list[str]
) -> None:
    status, error = await _send(AddressRules(True), Names(answers), f"http://hooks.example.com:{receiver.port}/")
    assert status is None
    assert error == "address_refused"
    assert receiver.connections == 0


async def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Receiver() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        monkeypatch.setenv("ALL_PROXY", proxy.url())
        rules = AddressRules(True, networks("127.0.0.1/32"))
        assert await _send(rules, Names(["127.0.0.1"]), f"http://a.example:{receiver.port}/") == (200, None)
        assert proxy.connections == 0
