"""Signatures and secrets, against the specification's own words."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.webhooks.signing import Held, Keyring, KeyUnknown, key_id, shown, signature
from tests.support.webhooks import Unverified, verify

KEY, OLD = "k" * 40, "o" * 40
SALT = b"s" * 32


@given(secret=st.binary(min_size=24, max_size=64), other=st.binary(min_size=24, max_size=64), body=st.binary())
def test_a_receiver_can_tell_ours_from_others(secret: bytes, other: bytes, body: bytes) -> None:
    header = signature([secret], "msg_1", 1_700_000_000, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": "1700000000", "webhook-signature": header}
    verify(shown(secret), headers, body, now_s=1_700_000_010)
    if other != secret:
        with pytest.raises(Unverified):
            verify(shown(other), headers, body, now_s=1_700_000_010)
    with pytest.raises(Unverified):
        verify(shown(secret), headers, body + b" ", now_s=1_700_000_010)
    with pytest.raises(Unverified):
        verify(shown(secret), {**headers, "webhook-id": "msg_2"}, body, now_s=1_700_000_010)
    with pytest.raises(Unverified):
        verify(shown(secret), headers, body, now_s=1_700_001_000)


def test_the_example_of_the_specification() -> None:
    """From the reference libraries' own tests."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    got = signature([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert got == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_both_secrets_sign_while_they_overlap() -> None:
    first, second = signature([b"a" * 32, b"b" * 32], "m", 1, b"{}").split(" ")
    assert first == signature([b"a" * 32], "m", 1, b"{}")
    assert second == signature([b"b" * 32], "m", 1, b"{}")


def test_a_secret_needs_its_key_and_its_salt() -> None:
    ring = Keyring([KEY, OLD])
    assert ring.newest == key_id(KEY)
    secret = ring.secret(Held(SALT, key_id(KEY)))
    assert len(secret) == 32
    assert secret == Keyring([KEY]).secret(Held(SALT, key_id(KEY)))
    assert secret != ring.secret(Held(SALT, key_id(OLD)))
    assert secret != ring.secret(Held(b"t" * 32, key_id(KEY)))
    assert shown(secret).startswith("whsec_")
    with pytest.raises(KeyUnknown):
        Keyring([OLD]).secret(Held(SALT, key_id(KEY)))
    assert not Keyring([OLD]).knows(Held(SALT, key_id(KEY)))
    assert Keyring([]).newest is None
